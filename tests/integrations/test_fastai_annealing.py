"""TemperatureAnnealing in real Learners: which batch sees which value, and what is left alone."""

import pickle
import re

import pytest
import torch
from torch import nn

from tests.integrations.learners import CLASSES, learner, ramp, vision, watched
from topk_lightning.integrations.fastai import KAnnealing, TemperatureAnnealing
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss
from topk_lightning.schedules import Cosine, Exponential, Linear, Steps

# What fastai calls of numpy when it loads weights.
pytestmark = pytest.mark.filterwarnings("ignore:.*numpy.core is deprecated:DeprecationWarning")

NAMES = {"linear": Linear, "cosine": Cosine, "exponential": Exponential}


@pytest.mark.parametrize("mixup", [False, True], ids=["plain", "MixUp"])
@pytest.mark.parametrize("name", NAMES)
def test_the_first_batch_sees_start_the_last_end_and_validation_its_own(name, mixup):
    annealing = TemperatureAnnealing(4.0, 0.5, name, eval_value=2.0)
    learn, watch = watched(annealing, cbs=[vision.MixUp()] if mixup else [])
    learn.fit(2)
    assert watch.trained == annealing.history == ramp(8, 4.0, 0.5, NAMES[name])
    assert (watch.trained[0], watch.trained[-1]) == (4.0, 0.5)
    assert watch.validated == [2.0] * 4
    assert learn.loss_func.temperature == 0.5


def test_the_places_are_those_of_the_progress_of_fastai():
    class Progress(vision.Callback):
        seen = []

        def before_batch(self):
            if self.training:
                self.seen.append(self.pct_train)

    progress, annealing = Progress(), TemperatureAnnealing(schedule="linear")
    learn, watch = watched(annealing, cbs=[progress])
    learn.fit(2)
    assert watch.trained == pytest.approx([annealing.value_at(p * 8 / 7) for p in progress.seen])


def test_by_epoch_hold_and_finish_and_schedule_objects():
    for annealing, expected in (
        (TemperatureAnnealing(schedule="linear", interval="epoch"), [4.0, 4.0, 2.5, 2.5, 1.0, 1.0]),
        (TemperatureAnnealing(schedule=Steps((3.0, 2.0), (0, 0.6))), [3.0, 3.0, 3.0, 2.0, 2.0, 2.0]),
        (TemperatureAnnealing(schedule="linear", hold_fraction=0.4, finish_fraction=0.6), [4.0] * 3 + [1.0] * 3),
    ):
        learn, watch = watched(annealing, batches=2)
        learn.fit(3)
        assert watch.trained == expected


def test_a_fit_of_one_batch_sees_start():
    learn, watch = watched(TemperatureAnnealing(), batches=1)
    learn.fit(1)
    assert watch.trained == [4.0]


def test_another_fit_begins_afresh_and_evaluation_keeps_the_history():
    annealing = TemperatureAnnealing(schedule="linear")
    learn, watch = watched(annealing)
    learn.fit(1)
    learn.fit(2)
    learn.validate()
    assert "all_batches" not in learn.__dict__
    assert watch.trained == ramp(4) + ramp(8)
    assert annealing.history == ramp(8)


def test_fine_tune_runs_it_in_both_of_its_fits():
    learn, watch = watched(TemperatureAnnealing(schedule="linear"))
    learn.fine_tune(2)
    assert watch.trained == ramp(4) + ramp(8)


@pytest.mark.parametrize(
    "rule", [TemperatureAnnealing(), KAnnealing((4, 2, 1), (0, 0.4, 0.7))], ids=["temperature", "k"]
)
def test_a_fit_that_goes_on_continues_exactly(rule):
    name = rule.attribute.partition(".")[2]
    learn, watch = watched(rule, name=name, loss=SmoothTopKSVMLoss(k=4))
    learn.fit(4)
    whole, watch.trained = watch.trained, []
    learn.fit(4, start_epoch=2)
    assert watch.trained == whole[8:]


def test_outside_a_fit_the_loss_is_as_it_is():
    learn, watch = watched(TemperatureAnnealing(eval_value=2.0), loss=TemperatureCrossEntropyLoss(temperature=3.0))
    learn.validate()
    learn.get_preds(with_loss=True)
    learn.fit(1)
    watch.validated.clear()
    learn.validate()
    learn.get_preds(with_loss=True)
    assert watch.validated == [1.0] * 4


@pytest.mark.parametrize("after", [False, True], ids=["before a fit", "after a fit"])
def test_the_search_for_a_learning_rate_is_not_disturbed(after, tmp_path):
    found = {}
    for annealed in (False, True):
        annealings = [TemperatureAnnealing(4.0, 3.0), KAnnealing((4, 3), (0, 0.5))] if annealed else []
        loss = SmoothTopKSVMLoss(k=2, temperature=2.0)
        learn, watch = watched(*annealings, loss=loss, path=tmp_path)
        if after:
            learn.fit(1)
            loss.k, loss.temperature = 2, 2.0
            learn.model.load_state_dict(learner().model.state_dict())
            learn.create_opt()
        watch.trained.clear()
        learn.lr_find(num_it=20, show_plot=False)
        found[annealed] = learn.recorder.losses
        assert watch.trained == [2.0] * 20
        assert (loss.k, loss.temperature) == (2, 2.0)
    assert torch.equal(torch.stack(found[False]), torch.stack(found[True]))


def test_an_early_stop_keeps_validation_comparable():
    class Stop(vision.Callback):
        def after_batch(self):
            if self.training and self.iter == 1:
                raise vision.CancelTrainException

    learn, watch = watched(TemperatureAnnealing(schedule="linear", eval_value=2.0), cbs=[Stop()])
    learn.fit(2)
    assert watch.trained == [ramp(8)[i] for i in (0, 1, 4, 5)]
    assert watch.validated == [2.0] * 4
    assert learn.loss_func.temperature == ramp(8)[5]


def test_predictions_fetched_in_a_fit_see_the_value_of_validation():
    fetch = vision.FetchPredsCallback()
    learn, watch = watched(TemperatureAnnealing(eval_value=2.0), cbs=[fetch])
    learn.fit(1)
    assert watch.validated == [2.0] * 4
    assert fetch.preds[0].shape == (4, CLASSES)


@pytest.mark.parametrize("kind", ["buffer", "parameter"])
def test_a_temperature_in_the_model_is_filled_in_place(kind):
    class Sharp(nn.Linear):
        def __init__(self):
            super().__init__(3, CLASSES)
            value = torch.tensor(1.0)
            if kind == "buffer":
                self.register_buffer("temperature", value)
            else:
                self.temperature = nn.Parameter(value, requires_grad=False)

        def forward(self, rows):
            return super().forward(rows) / self.temperature

    learn, watch = watched(TemperatureAnnealing(schedule="linear", attribute="model.temperature", eval_value=2.0))
    learn.model = watch.loss_object = Sharp()
    tensor = learn.model.temperature
    learn.fit(2)
    assert watch.trained == pytest.approx(ramp(8))
    assert watch.validated == [2.0] * 4
    assert learn.model.temperature is tensor


def test_a_loss_inside_the_wrapper_of_fastai_is_the_one_that_changes():
    wrapped = vision.BaseLoss(TemperatureCrossEntropyLoss, temperature=3.0)
    learn, watch = watched(TemperatureAnnealing(schedule="linear"), loss=wrapped)
    watch.loss_object = wrapped.func
    learn.fit(1)
    assert watch.trained == ramp(4)


def test_it_is_drawn_beside_the_learning_rate():
    learn, _ = watched(TemperatureAnnealing(schedule="linear"))
    learn.fit_one_cycle(2)
    assert learn.recorder.hps["loss_func.temperature"] == ramp(8)
    assert len(learn.recorder.hps["lr"]) == 8
    learn.recorder.plot_sched()
    _, ax = TemperatureAnnealing().plot()
    assert ax.get_ylabel() == "loss_func.temperature"
    vision.plt.close("all")


def test_they_pickle():
    learn, _ = watched(
        TemperatureAnnealing(schedule="linear"), KAnnealing((4, 1), (0, 0.5)), loss=SmoothTopKSVMLoss(k=4)
    )
    learn.fit(1)
    again = pickle.loads(pickle.dumps(learn))
    again.fit(1)
    assert again.temperature_annealing.history == ramp(4)
    assert again.loss_func is not learn.loss_func


@pytest.mark.parametrize(
    ("annealing", "name"),
    [(TemperatureAnnealing(4.0, 1.0), "temperature"), (KAnnealing((3, 1), (0, 0.5)), "k")],
    ids=["temperature", "k"],
)
def test_annealing_a_loss_in_published_units_warns(annealing, name):
    sentence = (
        f"loss_func.{name} must belong to a loss in units of the logits to be annealed by {name} alone, got "
        'SmoothTopKSVMLoss(units="published"), whose units change with k. Pass units="logits".'
    )
    learn, _ = watched(annealing, name=name, loss=SmoothTopKSVMLoss(k=3, units="published"))
    with pytest.warns(UserWarning, match=f"^{re.escape(sentence)}$") as caught:
        learn.fit(2)
    assert [str(warning.message) for warning in caught].count(sentence) == 1
