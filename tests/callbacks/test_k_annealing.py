"""KAnnealing in real trainers: which epoch sees which k, by progress and by a metric, and what it refuses."""

import pickle
import re
from itertools import groupby

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from tests.callbacks.annealing import CLASSES, PACKAGES, Endless, KSteps, Watched, WatchedTwin, loader, trainer
from topk_lightning.callbacks import CallbackError, KAnnealing, TemperatureAnnealing
from topk_lightning.classifier import TopKClassifier
from topk_lightning.losses import SmoothTopKSVMLoss

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]

BATCHES = 3


def fit(module, annealing, validation=1, **options):
    callbacks = annealing if isinstance(annealing, list) else [annealing]
    options.setdefault("max_epochs", -1 if "max_steps" in options else 10)
    its = trainer(callbacks=callbacks, **options)
    its.fit(module, loader(BATCHES), loader(validation) if validation else None)
    return its


def epochs(module):
    """The k of each epoch; within an epoch it never changes."""
    per_epoch = [module.trained[i : i + BATCHES] for i in range(0, len(module.trained), BATCHES)]
    assert all(len(set(values)) == 1 for values in per_epoch)
    return [values[0] for values in per_epoch]


def scripted(*values):
    module = KSteps()
    module.script = values
    return module


@pytest.mark.parametrize("as_list", [True, False], ids=["list", "single"])
@pytest.mark.parametrize(("package", "kind"), [*zip(PACKAGES, (Watched, WatchedTwin), strict=True)])
def test_both_trainers_accept_it(package, kind, as_list):
    module = kind(SmoothTopKSVMLoss(k=5))
    module.watched = "k"
    annealing = KAnnealing(ladder=(5, 2), at=(0, 0.5))
    trainer(package, callbacks=[annealing] if as_list else annealing, max_epochs=2).fit(module, loader(2))
    assert module.trained == [5, 5, 2, 2]
    assert type(module.loss.k) is int


# By progress


def test_an_epoch_sees_the_last_rung_whose_progress_has_come():
    module, annealing = KSteps(), KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8))
    fit(module, annealing)
    assert epochs(module) == annealing.history == [5] * 5 + [3] * 3 + [1] * 2
    assert annealing.history == [annealing.value_at(epoch / 10) for epoch in range(10)]


def test_k_may_grow():
    module = KSteps()
    fit(module, KAnnealing(ladder=(1, 5), at=(0, 0.25)), max_epochs=4)
    assert epochs(module) == [1, 5, 5, 5]


@pytest.mark.parametrize("options", [{}, {"max_epochs": 1000}])
def test_max_steps_are_progress_too(options):
    module = KSteps()
    fit(module, KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8)), max_steps=10 * BATCHES, **options)
    assert epochs(module) == [5] * 5 + [3] * 3 + [1] * 2


def test_data_without_a_length_have_epochs():
    module = KSteps()
    its = trainer(callbacks=[KAnnealing(ladder=(5, 1), at=(0, 0.5))], max_epochs=4)
    its.fit(module, DataLoader(Endless(2 * BATCHES), batch_size=2))
    assert epochs(module) == [5, 5, 1, 1]


def test_endless_training_has_no_progress():
    module = KSteps()
    sentence = (
        "at must be replaced by monitor and threshold where the number of epochs is unknown, got (0, 0.5, 0.8). "
        "Pass max_epochs= to the Trainer."
    )
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        fit(module, KAnnealing(at=(0, 0.5, 0.8)), max_epochs=-1)
    assert module.trained == []


def test_a_second_fit_starts_afresh_and_one_of_the_same_trainer_spans_what_is_left():
    annealing = KAnnealing(ladder=(5, 1), at=(0, 0.5))
    for _ in range(2):
        module = KSteps()
        its = fit(module, annealing, max_epochs=2)
        assert epochs(module) == annealing.history == [5, 1]
    its.fit_loop.max_epochs = 6
    module.trained.clear()
    its.fit(module, loader(BATCHES), loader(1))
    assert epochs(module) == annealing.history == [5, 5, 1, 1]


# By a metric


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ((0.5, 0.9, 0.5, 0.95, 0.5), 1, [5, 5, 3, 3, 1]),
        ((0.95, 0.95, 0.95, 0.95, 0.95), 1, [5, 3, 1, 1, 1]),
        ((0.95, 0.1, 0.95, 0.95, 0.1), 2, [5, 5, 5, 5, 3]),
        ((0.95, 0.95, 0.95, 0.95, 0.95), 2, [5, 5, 3, 3, 1]),
        ((float("nan"),) * 5, 1, [5] * 5),
    ],
)
def test_the_ladder_moves_after_patience_epochs_at_the_threshold(values, patience, expected):
    module, annealing = (
        scripted(*values),
        KAnnealing(ladder=(5, 3, 1), monitor="val/top5", threshold=0.9, patience=patience),
    )
    fit(module, annealing, max_epochs=5)
    assert epochs(module) == annealing.history == expected


def test_a_loss_counts_down():
    module = scripted(2.0, 0.5, 0.5)
    fit(module, KAnnealing(ladder=(5, 1), monitor="val/top5", threshold=0.5, mode="min"), max_epochs=4)
    assert epochs(module) == [5, 5, 1, 1]


def test_an_epoch_without_the_metric_counts_nothing():
    module = scripted(0.95, 0.95, 0.95, 0.95, 0.95, 0.95)
    annealing = KAnnealing(ladder=(5, 3, 1), monitor="val/top5", threshold=0.9, patience=2)
    fit(module, annealing, max_epochs=6, check_val_every_n_epoch=2)
    # Measured at the end of epochs 1, 3 and 5.
    assert epochs(module) == [5, 5, 5, 5, 3, 3]


def test_several_validations_within_an_epoch_change_nothing_within_it():
    module = scripted(0.95, 0.95, 0.95)
    fit(module, KAnnealing(ladder=(5, 3, 1), monitor="val/top5", threshold=0.9), max_epochs=3, val_check_interval=1)
    assert epochs(module) == [5, 3, 1]


@pytest.mark.parametrize("where", ["step", "epoch_end"])
def test_a_training_metric_will_do(where):
    class Trains(KSteps):
        def training_step(self, batch, batch_idx):
            if where == "step":
                self.log("train/top5", 0.2 + 0.3 * self.current_epoch, on_step=False, on_epoch=True)
            return super().training_step(batch, batch_idx)

        def on_train_epoch_end(self):
            if where == "epoch_end":
                self.log("train/top5", 0.2 + 0.3 * self.current_epoch)

    for validation in (1, None):
        module = Trains()
        annealing = KAnnealing(ladder=(5, 1), monitor="train/top5", threshold=0.5)
        fit(module, annealing, validation, max_epochs=4)
        assert epochs(module) == [5, 5, 1, 1]


@pytest.mark.parametrize("max_epochs", [1, 2])
@pytest.mark.parametrize("validation", [1, None])
def test_a_missing_metric_lists_those_that_exist(validation, max_epochs):
    module = KSteps()
    names = "loss.k, val/loss" if validation else "loss.k"
    sentence = (
        f"monitor must be one of the logged metrics ({names}), got 'val/top3'. "
        "Log it with self.log in a step or at the end of an epoch."
    )
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        fit(module, KAnnealing(monitor="val/top3", threshold=0.9), validation, max_epochs=max_epochs)
    assert len(module.trained) == BATCHES


def test_a_metric_that_is_measured_later_is_waited_for():
    module = scripted(0.95, 0.95, 0.95)
    annealing = KAnnealing(ladder=(5, 1), monitor="val/top5", threshold=0.9)
    fit(module, annealing, max_epochs=4, check_val_every_n_epoch=3)
    assert epochs(module) == [5, 5, 5, 1]


@pytest.mark.parametrize("rule", [{"at": (0, 0.5, 0.8)}, {"monitor": "val/top5", "threshold": 0.9}])
def test_sanity_check_and_fast_dev_run_decide_nothing(rule):
    module, annealing = scripted(0.95), KAnnealing(**rule)
    fit(module, annealing, num_sanity_val_steps=1, max_epochs=1)
    assert epochs(module) == annealing.history == [5]
    module = KSteps()
    fit(module, KAnnealing(**rule), fast_dev_run=2)
    assert module.trained == [5, 5]


# What is measured, logged and kept


def test_validation_sees_one_k_and_metrics_keep_theirs():
    module = KSteps()
    fit(module, KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8)), num_sanity_val_steps=1, max_epochs=5)
    assert module.validated == [1] * 6
    module = KSteps()
    fit(module, KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8), eval_value=4), max_epochs=5)
    assert module.validated == [4] * 5

    images = torch.rand(12, 3, 16, 16)
    data = DataLoader([(image, index % CLASSES) for index, image in enumerate(images)], batch_size=4)
    classifier = TopKClassifier("small_cnn", num_classes=CLASSES, loss=SmoothTopKSVMLoss(k=5))
    stop, save = EarlyStopping("val/top5", mode="max", patience=9), ModelCheckpoint(monitor="val/top5", save_last=False)
    its = trainer(callbacks=[KAnnealing(ladder=(5, 1), at=(0, 0.5)), stop], max_epochs=2)
    its.fit(classifier, data, data)
    assert save.monitor in its.callback_metrics
    assert (classifier.loss.k, classifier.k) == (1, (1, 3, 5))
    logits, target = classifier.eval()(images), torch.arange(12) % CLASSES
    in_five = logits.topk(5).indices.eq(target[:, None]).any(1).float().mean()
    assert its.callback_metrics["val/top5"] == in_five


def test_outside_of_fit_the_module_is_not_touched():
    module = KSteps()
    module.loss.k = 4
    its = trainer(callbacks=[KAnnealing(at=(0, 0.5, 0.8))])
    its.validate(module, loader(1), verbose=False)
    its.test(module, loader(1), verbose=False)
    assert module.validated == [4, 4]


def test_k_is_logged_with_the_metrics_of_the_epoch():
    class Reads(KSteps):
        def on_train_epoch_start(self):
            if self.current_epoch:
                self.logged.append(float(self.trainer.callback_metrics["k"]))

    module = Reads()
    module.logged = []
    its = fit(module, KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8), log_name="k"), max_epochs=5)
    assert [*module.logged, float(its.callback_metrics["k"])] == epochs(module) == [5, 5, 5, 3, 1]


def test_buffers_are_filled_in_place():
    module = KSteps()
    module.register_buffer("k", torch.tensor(5))
    tensor = module.k
    fit(module, KAnnealing(ladder=(5, 2), at=(0, 0.5), attribute="k"), max_epochs=2)
    assert module.k is tensor
    assert tensor.item() == 2


def test_it_goes_along_with_a_temperature():
    module = KSteps()
    its = [TemperatureAnnealing(schedule="linear"), KAnnealing(ladder=(5, 1), at=(0, 0.5))]
    fit(module, its, max_epochs=4)
    assert its[0].history == pytest.approx([4 - 3 * step / 11 for step in range(12)])
    assert epochs(module) == [5, 5, 1, 1]
    assert (module.loss.temperature, module.loss.k) == (1.0, 1)


def test_it_can_be_plotted_and_pickled():
    import matplotlib.pyplot as plt

    annealing = KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8))
    figure, axes = annealing.plot()
    assert [k for k, _ in groupby(axes.lines[0].get_ydata())] == [5, 3, 1]
    plt.close(figure)
    again = pickle.loads(pickle.dumps(annealing))
    assert (again.ladder, again.at, again.state_key) == (annealing.ladder, annealing.at, annealing.state_key)
    sentence = (
        "value_at must be asked of a ladder that goes by progress (at=), got monitor=. "
        "Where k goes by a metric, only training shows it: see history."
    )
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        KAnnealing(monitor="val/top5", threshold=0.9).plot()


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (
            {},
            ValueError,
            "KAnnealing must be given one of at and monitor, got neither. "
            "Use at=(0, 0.5, 0.8) to go by progress, or monitor= and threshold= to go by a metric.",
        ),
        (
            {"at": (0, 0.5, 0.8), "monitor": "val/top5", "threshold": 0.9},
            ValueError,
            "KAnnealing must be given one of at and monitor, got both. "
            "Use at=(0, 0.5, 0.8) to go by progress, or monitor= and threshold= to go by a metric.",
        ),
        ({"monitor": "val/top5"}, ValueError, "threshold must be given with monitor, and only then, got None."),
        (
            {"at": (0, 0.5, 0.8), "threshold": 0.9},
            ValueError,
            "threshold must be given with monitor, and only then, got 0.9.",
        ),
        ({"at": (0, 0.5, 0.8), "patience": 2}, ValueError, "patience must be given only with monitor, got 2."),
        ({"at": (0, 0.5, 0.8), "mode": "min"}, ValueError, "mode must be given only with monitor, got 'min'."),
        ({"at": (0, 0.5)}, ValueError, "at must hold 3 numbers, one for each of the rungs of ladder, got 2."),
        ({"at": (0, 0.5, 1.5)}, ValueError, "at must be a fraction in [0, 1], got 1.5."),
        ({"ladder": (5,), "at": (0,)}, ValueError, "ladder must hold at least two k, got (5,)."),
        ({"ladder": (5, 5), "at": (0, 0.5)}, ValueError, "ladder must change k from rung to rung, got (5, 5)."),
        ({"ladder": (5, 0), "at": (0, 0.5)}, ValueError, "ladder must be at least 1, got 0."),
        ({"ladder": (5, 2.5), "at": (0, 0.5)}, TypeError, "ladder must be an integer, got 2.5 of type float."),
        ({"ladder": 5, "at": (0, 0.5)}, TypeError, "ladder must be a sequence of k, got int."),
        ({"at": (0, 0.5, 0.8), "eval_value": 0}, ValueError, "eval_value must be at least 1, got 0."),
        (
            {"monitor": "val/top5", "threshold": 0.9, "patience": 0},
            ValueError,
            "patience must be at least 1, got 0.",
        ),
        (
            {"monitor": "val/top5", "threshold": 0.9, "mode": "up"},
            ValueError,
            "mode must be one of 'max', 'min', got 'up'.",
        ),
    ],
)
def test_a_wrong_option_is_named(options, error, sentence):
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        KAnnealing(**options)


def test_a_loss_without_k_is_an_error_that_shows_the_line_to_add():
    sentence = (
        "attribute must be an attribute of TopKClassifier, got 'loss.k', but loss is CrossEntropyLoss, which has no k. "
        "Pass loss=SmoothTopKSVMLoss(k=5) to TopKClassifier."
    )
    data = DataLoader([(torch.rand(3, 16, 16), 0)] * 2)
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        trainer(callbacks=KAnnealing(at=(0, 0.5, 0.8)), max_epochs=1).fit(TopKClassifier(num_classes=4), data)


def test_two_on_one_attribute_are_an_error():
    module = Watched(SmoothTopKSVMLoss(k=5))
    module.criterion = module.loss
    sentence = "attribute must be set by one callback, got 'loss.k' by KAnnealing and KAnnealing."
    ladders = [KAnnealing(at=(0, 0.5, 0.8)), KAnnealing(at=(0, 0.5, 0.8), attribute="criterion.k")]
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        fit(module, ladders)
    assert isinstance(module.loss, nn.Module)
