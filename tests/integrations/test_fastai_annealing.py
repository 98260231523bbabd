"""TemperatureAnnealing and KAnnealing in real Learners: which batch sees which value, and what they leave behind."""

import functools
import pickle
import re

import pytest
import torch
from torch import nn

from tests.integrations.learners import CLASSES, Watch, learner, vision
from topk_lightning.callbacks import CallbackError
from topk_lightning.integrations.fastai import KAnnealing, TemperatureAnnealing, TopKAccuracy
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss
from topk_lightning.schedules import Cosine, Exponential, Linear, Steps

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*numpy.core is deprecated:DeprecationWarning"),
    # fastai searches for the learning rate with loops over tensors of one number.
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning"),
]

NAMES = {"linear": Linear, "cosine": Cosine, "exponential": Exponential}


def watched(*annealings, cbs=(), name="temperature", loss=None, **options):
    """A Learner with these callbacks, and what its batches see."""
    loss = TemperatureCrossEntropyLoss() if loss is None else loss
    watch = Watch(loss, name)
    learn = learner(loss_func=loss, cbs=[*annealings, *cbs, watch], **options)
    learn.remove_cb(vision.ProgressCallback)
    learn.logger = vision.noop
    return learn, watch


def ramp(steps, start=4.0, end=1.0, schedule=Linear):
    return [schedule(start, end)(step / (steps - 1)) for step in range(steps)]


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


class Broken(nn.Module):
    """A loss that fails at one batch, counted over training and validation."""

    def __init__(self, at, error):
        super().__init__()
        self.inner, self.at, self.error, self.calls = SmoothTopKSVMLoss(k=4), at, error, 0

    def forward(self, logits, target):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.inner(logits, target)


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize(("at", "where"), [(6, "validation"), (2, "training")])
@pytest.mark.parametrize("per_fit", [False, True], ids=["of the Learner", "of the fit"])
def test_an_error_leaves_the_value_of_training_and_nothing_else(error, at, where, per_fit):
    loss = Broken(at, error)
    temperature = TemperatureAnnealing(schedule="linear", attribute="loss_func.inner.temperature", eval_value=9.0)
    both = [temperature, KAnnealing((3, 2), (0, 0.5), attribute="loss_func.inner.k", eval_value=1)]
    learn, watch = watched(*([] if per_fit else both), loss=loss)
    watch.loss_object = loss.inner
    with pytest.raises(type(error)):
        learn.fit(2, cbs=both if per_fit else None)
    assert (loss.inner.temperature, loss.inner.k) == (ramp(8)[3 if where == "validation" else 1], 3)
    watch.trained.clear()
    watch.validated.clear()
    learn.validate()
    assert watch.validated == [loss.inner.temperature] * 2
    # The same Learner goes on without them, and with them from the start.
    learn.remove_cbs(both)
    learn.fit(1)
    assert set(watch.trained + watch.validated) == {loss.inner.temperature}
    watch.trained.clear()
    learn.fit(1, cbs=both)
    assert watch.trained == ramp(4)


def test_data_that_fail_in_validation_leave_the_value_of_training():
    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise OSError("unreadable image")

    learn, _ = watched(TemperatureAnnealing(eval_value=9.0))
    learn.dls.loaders[1] = vision.DataLoader(Rows(), bs=2, num_workers=0)
    with pytest.raises(OSError, match="unreadable image"):
        learn.fit(1)
    assert learn.loss_func.temperature == 1.0


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


def test_k_goes_down_by_progress_together_with_the_temperature():
    loss = SmoothTopKSVMLoss(k=4)
    k = KAnnealing((4, 3, 1), (0, 0.5, 0.8))
    learn, watch = watched(TemperatureAnnealing(schedule="linear"), k, name="k", loss=loss, batches=2)
    temperature = Watch(loss)
    learn.add_cb(temperature)
    learn.fit(10)
    assert k.history == [4] * 5 + [3] * 3 + [1] * 2
    assert watch.trained == [value for value in k.history for _ in range(2)]
    assert temperature.trained == ramp(20)
    assert set(watch.validated) == {1}
    assert set(temperature.validated) == {1.0}


class Dictated(vision.Metric):
    """A metric that takes the values it is told, epoch by epoch."""

    def __init__(self, values):
        self.values, self.epoch = values, -1

    def reset(self):
        self.epoch += 1

    @property
    def value(self):
        return torch.tensor(self.values[self.epoch])

    @property
    def name(self):
        return "top5"


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        # 0.9 in float32 is less than 0.9, and yet 9 of 10 hits reach it.
        ([0.1, 0.9, 0.2, 0.95, 0.1], {}, [4, 4, 2, 2, 1]),
        ([0.9, 0.1, 0.9, 0.9, 0.9, 0.9], {"patience": 2}, [4, 4, 4, 4, 2, 2]),
        ([0.95, 0.5, 0.8, 0.0], {"mode": "min"}, [4, 4, 2, 1]),
        ([float("nan"), 0.9, 0.0], {}, [4, 4, 2]),
    ],
    ids=["max", "patience", "min", "nan"],
)
def test_k_goes_down_as_a_metric_gets_better(values, options, expected):
    annealing = KAnnealing((4, 2, 1), monitor="top5", threshold=0.9, **options)
    learn, watch = watched(annealing, name="k", loss=SmoothTopKSVMLoss(k=4), metrics=[Dictated(values)], batches=1)
    learn.fit(len(values))
    assert annealing.history == watch.trained == expected


def test_k_follows_a_real_metric():
    annealing = KAnnealing((3, 1), monitor="top2", threshold=0.0)
    learn, watch = watched(annealing, name="k", loss=SmoothTopKSVMLoss(k=3), metrics=[TopKAccuracy(2)])
    learn.fit(3)
    assert annealing.history == [3, 1, 1]
    assert set(watch.validated) == {1}


def message(error, learn):
    """The sentence without what fastai writes before it."""
    with pytest.raises(CallbackError) as raised:
        learn.fit(1)
    text = str(raised.value)
    assert re.match(error + "$", text.split("\n\t")[-1]), text


def test_cross_entropy_has_no_temperature_and_the_error_says_what_has_one():
    sentence = (
        "attribute must be an attribute of Learner, got 'loss_func.temperature', but loss_func is CrossEntropyLossFlat, "
        "which has no temperature. Pass loss_func=TemperatureCrossEntropyLoss() to Learner."
    )
    learn, _ = watched(TemperatureAnnealing(), loss=vision.CrossEntropyLossFlat())
    message(re.escape(sentence), learn)
    assert "all_batches" not in learn.__dict__


def test_a_function_has_no_k():
    learn, _ = watched(KAnnealing(at=(0, 0.1, 0.2)), loss=nn.functional.cross_entropy)
    message(".*loss_func is the function cross_entropy.*Pass loss_func=SmoothTopKSVMLoss\\(k=5\\) to Learner\\.", learn)


def test_two_of_one_attribute_are_an_error():
    learn, _ = watched(TemperatureAnnealing(), TemperatureAnnealing(3.0))
    sentence = "attribute must be set by one callback, got 'loss_func.temperature' by TemperatureAnnealing and TemperatureAnnealing."
    message(re.escape(sentence), learn)


def test_an_unknown_metric_lists_those_that_exist():
    annealing = KAnnealing((2, 1), monitor="val/top5", threshold=0.5)
    learn, _ = watched(annealing, loss=SmoothTopKSVMLoss(k=2), metrics=[vision.accuracy, TopKAccuracy(2)])
    sentence = (
        "monitor must be one of the recorded values (train_loss, valid_loss, accuracy, top2), got 'val/top5'. Add the "
        "metric to the metrics of the Learner."
    )
    message(re.escape(sentence), learn)


@pytest.mark.parametrize(
    ("attribute", "sentence"),
    [
        ("loss.temperature", "got 'loss.temperature'. Did you mean 'loss_func.temperature'?"),
        ("temperature", "got 'temperature'."),
        ("model", "got 'model'."),
    ],
)
def test_an_attribute_begins_in_the_loss_or_the_model(attribute, sentence):
    # fastai looks an unknown attribute of the Learner up in the model, but sets it in the Learner.
    whole = f'attribute must begin with "loss_func." or "model.", {sentence}'
    with pytest.raises(ValueError, match=f"^{re.escape(whole)}$"):
        TemperatureAnnealing(attribute=attribute)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (functools.partial(TemperatureAnnealing, 0.0), "start must be a finite number above 0, got 0.0."),
        (functools.partial(TemperatureAnnealing, eval_value=-1), "eval_value must be a finite number above 0, got -1."),
        (functools.partial(KAnnealing, (5,), (0,)), "ladder must hold at least two k, got (5,)."),
        (functools.partial(KAnnealing, (5, 3), (0, 0.5), eval_value=0), "eval_value must be at least 1, got 0."),
    ],
)
def test_bad_values_are_errors_before_training(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()


def test_they_pickle():
    learn, _ = watched(
        TemperatureAnnealing(schedule="linear"), KAnnealing((4, 1), (0, 0.5)), loss=SmoothTopKSVMLoss(k=4)
    )
    learn.fit(1)
    again = pickle.loads(pickle.dumps(learn))
    again.fit(1)
    assert again.temperature_annealing.history == ramp(4)
    assert again.loss_func is not learn.loss_func
