"""TemperatureAnnealing in real trainers: which batch sees which value, and what it refuses."""

import csv
import pickle
import re

import pytest
import pytorch_lightning
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler, LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from tests.callbacks.annealing import (
    PACKAGES,
    Endless,
    TensorTemperature,
    TwoOptimizers,
    Watched,
    WatchedTwin,
    loader,
    trainer,
)
from topk_lightning.callbacks import CallbackError, KAnnealing, TemperatureAnnealing
from topk_lightning.classifier import TopKClassifier
from topk_lightning.schedules import Constant, Cosine, Exponential, Linear, Steps

# Lightning's advice, which tiny modules need not follow.
pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]

NAMES = {"linear": Linear, "cosine": Cosine, "exponential": Exponential}


def fit(module, annealing, batches=4, validation=None, package=pytorch_lightning, **options):
    callbacks = annealing if isinstance(annealing, list) else [annealing]
    options.setdefault("max_epochs", 2 if "max_steps" not in options else -1)
    its = trainer(package, callbacks=callbacks, **options)
    its.fit(module, loader(batches), loader(validation) if validation else None)
    return its


def ramp(name, steps, start=4.0, end=1.0):
    schedule = NAMES[name](start, end)
    return [schedule(step / (steps - 1)) for step in range(steps)]


@pytest.mark.parametrize("as_list", [True, False], ids=["list", "single"])
@pytest.mark.parametrize(("package", "module"), [*zip(PACKAGES, (Watched, WatchedTwin), strict=True)])
def test_both_trainers_accept_it(package, module, as_list):
    module, annealing = module(), TemperatureAnnealing(schedule="linear")
    trainer(package, callbacks=[annealing] if as_list else annealing, max_epochs=2).fit(module, loader(2))
    assert module.trained == annealing.history == [4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("start", "end"), [(4.0, 1.0), (0.5, 2.0)], ids=["down", "up"])
def test_the_first_batch_sees_start_and_the_last_step_end(name, start, end):
    module = Watched()
    fit(module, TemperatureAnnealing(start, end, name))
    assert module.trained == ramp(name, 8, start, end)
    assert (module.trained[0], module.trained[-1]) == (start, end)
    assert module.loss.temperature == end


def test_hold_and_finish_bound_the_ramp():
    module = Watched()
    fit(module, TemperatureAnnealing(3.0, 1.0, "linear", hold_fraction=0.2, finish_fraction=0.6), 11, max_epochs=1)
    assert module.trained == pytest.approx([3, 3, 3, 2.5, 2, 1.5, 1, 1, 1, 1, 1])


def test_an_accumulation_window_sees_one_value():
    module, annealing = Watched(), TemperatureAnnealing(schedule="linear")
    its = fit(module, annealing, batches=5, accumulate_grad_batches=2)
    # Each epoch of 5 batches makes 3 steps: the last window is shorter.
    a, b, c, d, e, f = [4 - 3 * step / 5 for step in range(6)]
    assert its.global_step == 6
    assert module.trained == pytest.approx([a, a, b, b, c, d, d, e, e, f])
    assert annealing.history == pytest.approx([a, b, c, d, e, f])


def test_windows_that_grow_with_the_epoch():
    module = Watched()
    fit(module, [TemperatureAnnealing(schedule="linear"), GradientAccumulationScheduler({0: 4, 1: 1})])
    a, b, c, d, e = [4 - 3 * step / 4 for step in range(5)]
    assert module.trained == pytest.approx([a, a, a, a, b, c, d, e])


@pytest.mark.parametrize("options", [{"max_steps": 5}, {"max_steps": 5, "max_epochs": 9}, {"limit_train_batches": 3}])
def test_the_length_is_what_the_trainer_estimates(options):
    module = Watched()
    its = fit(module, TemperatureAnnealing(schedule="linear"), **options)
    assert its.estimated_stepping_batches == len(module.trained)
    assert module.trained == ramp("linear", len(module.trained))


def test_two_optimizers_do_not_run_it_at_double_speed():
    module = TwoOptimizers(lambda batch: (0, 1))
    its = fit(module, TemperatureAnnealing(schedule="linear"))
    assert its.global_step == 2 * 8
    assert module.trained == ramp("linear", 8)


@pytest.mark.parametrize(("max_steps", "batches"), [(6, 3), (7, 4)])
def test_max_steps_counts_each_optimizer_and_the_last_batch_still_sees_end(max_steps, batches):
    module = TwoOptimizers(lambda batch: (0, 1))
    fit(module, TemperatureAnnealing(schedule="linear"), max_steps=max_steps)
    assert len(module.trained) == batches
    assert (module.trained[0], module.trained[-1]) == (4.0, 1.0)


def test_optimizers_that_take_turns_count_each_batch_once():
    module = TwoOptimizers(lambda batch: (batch % 2,))
    fit(module, TemperatureAnnealing(schedule="linear"))
    assert module.trained == ramp("linear", 8)


def test_manual_accumulation_holds_the_value_and_is_told_how_many_steps_there_were():
    module, again = (
        TwoOptimizers(lambda batch: (0,) if batch % 2 else ()),
        TwoOptimizers(lambda b: (0,) if b % 2 else ()),
    )
    sentence = (
        "total_steps must be given where the optimizer does not step at each batch (or accumulation window), got 4 "
        "steps instead of 8, so the schedule did not reach its end. Pass total_steps=4 to TemperatureAnnealing."
    )
    with pytest.warns(UserWarning, match=re.escape(sentence)):
        fit(module, TemperatureAnnealing(schedule="linear"))
    fit(again, TemperatureAnnealing(schedule="linear", total_steps=4))
    assert again.trained == [4, 4, 3, 3, 2, 2, 1, 1]


def test_total_steps_may_differ_from_the_length_of_training():
    short, long = Watched(), Watched()
    fit(short, TemperatureAnnealing(schedule="linear", total_steps=4))
    fit(long, TemperatureAnnealing(schedule="linear", total_steps=16))
    assert short.trained == [4, 3, 2, 1, 1, 1, 1, 1]
    assert long.trained == ramp("linear", 16)[:8]


def test_epochs_as_interval():
    module, annealing = Watched(), TemperatureAnnealing(schedule="linear", interval="epoch")
    fit(module, annealing, batches=2, max_epochs=4)
    assert module.trained == annealing.history == [4, 4, 3, 3, 2, 2, 1, 1]


@pytest.mark.parametrize(("options", "total"), [({"max_steps": 7}, None), ({"max_epochs": 4}, 7)])
def test_epochs_are_counted_from_steps_where_those_end_training(options, total):
    module = Watched()
    annealing = TemperatureAnnealing(schedule="linear", interval="epoch", total_steps=total)
    fit(module, annealing, batches=2, **options)
    assert module.trained[:7] == [4, 4, 3, 3, 2, 2, 1]


def test_epochs_of_data_without_a_length():
    module = Watched()
    its = trainer(callbacks=[TemperatureAnnealing(schedule="linear", interval="epoch")], max_epochs=2)
    its.fit(module, DataLoader(Endless(6), batch_size=2))
    assert module.trained == [4, 4, 4, 1, 1, 1]


@pytest.mark.parametrize("options", [{"max_steps": 5}, {"max_epochs": 2}], ids=["max_steps", "total_steps"])
def test_data_without_a_length(options):
    module = Watched()
    annealing = TemperatureAnnealing(schedule="linear", total_steps=None if "max_steps" in options else 6)
    trainer(callbacks=[annealing], **options).fit(module, DataLoader(Endless(6), batch_size=2))
    assert module.trained == ramp("linear", len(module.trained))


UNKNOWN = (
    "total_steps must be given where the length of training is unknown (endless, or data without a length), got None. "
    "Pass total_steps= to TemperatureAnnealing, or max_steps= to the Trainer."
)


@pytest.mark.parametrize("options", [{"max_epochs": -1}, {"max_time": "00:01:00:00"}], ids=["endless", "max_time"])
def test_an_unknown_length_is_an_error_before_the_first_batch(options):
    module = Watched()
    its = trainer(callbacks=[TemperatureAnnealing()], **options)
    with pytest.raises(CallbackError, match=f"^{re.escape(UNKNOWN)}$"):
        its.fit(module, loader(2))
    assert module.trained == []


def test_epochs_without_a_length_are_unknown_too():
    module = Watched()
    with pytest.raises(CallbackError, match=f"^{re.escape(UNKNOWN)}$"):
        trainer(callbacks=[TemperatureAnnealing()], max_epochs=2).fit(module, DataLoader(Endless(6)))
    sentence = (
        "interval must be \"step\" where the number of epochs is unknown, got 'epoch'. Pass max_epochs= to the Trainer."
    )
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        fit(module, TemperatureAnnealing(interval="epoch"), max_epochs=-1)
    assert module.trained == []


def test_max_time_ends_where_it_stops():
    module = Watched()
    fit(module, TemperatureAnnealing(schedule="linear", total_steps=5), max_epochs=1, max_time="00:00:00:00")
    assert module.trained == ramp("linear", 5)[: len(module.trained)]


@pytest.mark.parametrize(
    "options", [{"fast_dev_run": True}, {"max_steps": 1}, {"limit_train_batches": 1, "max_epochs": 1}]
)
def test_a_training_of_one_step_sees_start(options):
    module, annealing = Watched(), TemperatureAnnealing()
    fit(module, annealing, validation=1, **options)
    assert module.trained == annealing.history == [4.0]


def test_fast_dev_run_of_some_batches_goes_from_start_to_end():
    module = Watched()
    fit(module, TemperatureAnnealing(schedule="linear"), fast_dev_run=3)
    assert module.trained == [4.0, 2.5, 1.0]


@pytest.mark.parametrize(
    "schedule", [Linear(2.0, 0.5, 0.25), Steps((4, 2, 1), (0, 0.3, 0.6)), Constant(2.0), lambda p: 2 - p]
)
def test_a_schedule_object_or_function_has_the_say(schedule):
    module = Watched()
    fit(module, TemperatureAnnealing(schedule=schedule))
    assert module.trained == [schedule(step / 7) for step in range(8)]


# Validation, and what comes after training


@pytest.mark.parametrize("kind", ["plain", "buffer", "parameter"])
def test_validation_and_sanity_check_see_eval_value_and_training_goes_on(kind):
    module = Watched(None if kind == "plain" else TensorTemperature(kind, 7.0))
    annealing = TemperatureAnnealing(schedule="linear", eval_value=1.5)
    fit(module, annealing, validation=1, num_sanity_val_steps=1, val_check_interval=2)
    assert module.validated == [1.5] * 5
    assert module.trained == pytest.approx(ramp("linear", 8), rel=1e-6)


def test_the_sanity_check_leaves_the_own_value_of_the_module():
    module = Watched()
    module.loss.temperature = 7.0
    module.on_train_start = lambda: module.trained.append(module.see())
    fit(module, TemperatureAnnealing(), validation=1, num_sanity_val_steps=1, max_steps=1)
    assert (module.validated[0], module.trained) == (1.0, [7.0, 4.0])


@pytest.mark.parametrize("sanity", [0, 1])
def test_an_exception_in_validation_brings_the_value_back(sanity):
    class Fails(Watched):
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)
            raise RuntimeError("lost data")

    module = Fails()
    module.loss.temperature = 7.0
    with pytest.raises(RuntimeError, match="lost data"):
        fit(module, TemperatureAnnealing(schedule="linear"), 4, 1, max_epochs=1, num_sanity_val_steps=sanity)
    assert module.validated == [1.0]
    assert module.see() == (7.0 if sanity else 1.0)
    if not sanity:
        assert module.trained == ramp("linear", 4)


def test_outside_of_fit_the_module_is_not_touched():
    module = Watched()
    module.loss.temperature = 7.0
    its = trainer(callbacks=[TemperatureAnnealing()])
    its.validate(module, loader(1), verbose=False)
    its.test(module, loader(1), verbose=False)
    its.predict(module, DataLoader(torch.zeros(2, 3)))
    assert module.validated == [7.0, 7.0]
    assert module.see() == 7.0


@pytest.mark.parametrize("kind", ["buffer", "parameter"])
def test_tensors_are_filled_in_place(kind):
    module = Watched(TensorTemperature(kind))
    tensor = module.loss.temperature
    fit(module, TemperatureAnnealing(schedule="linear"), validation=1)
    assert module.loss.temperature is tensor
    assert module.trained == pytest.approx(ramp("linear", 8), rel=1e-6)
    assert tensor.item() == 1.0


def test_a_second_fit_starts_afresh():
    annealing = TemperatureAnnealing(schedule="linear")
    for _ in range(2):
        module = Watched()
        fit(module, annealing)
        assert module.trained == annealing.history == ramp("linear", 8)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_second_fit_of_the_same_trainer_spans_what_is_left(interval):
    annealing, module = TemperatureAnnealing(schedule="linear", interval=interval), Watched()
    its = trainer(callbacks=[annealing], max_epochs=2)
    its.fit(module, loader(2))
    its.fit_loop.max_epochs = 6
    module.trained.clear()
    its.fit(module, loader(2))
    assert module.trained == (ramp("linear", 8) if interval == "step" else [4, 4, 3, 3, 2, 2, 1, 1])


# Logging


def test_it_is_logged_in_the_rows_of_the_learning_rate(tmp_path):
    module, annealing = Watched(), TemperatureAnnealing(schedule="linear", log_name="temperature")
    logger = CSVLogger(tmp_path)
    callbacks = [annealing, LearningRateMonitor("step")]
    its = fit(module, callbacks, batches=5, logger=logger, log_every_n_steps=2, accumulate_grad_batches=2)
    with open(f"{logger.log_dir}/metrics.csv") as file:
        table = list(csv.DictReader(file))
    rates = [row["step"] for row in table if row["lr-SGD"]]
    at_steps = {int(row["step"]): float(row["temperature"]) for row in table if row["temperature"] and not row["epoch"]}
    assert sorted(at_steps) == sorted({int(step) for step in rates}) == [1, 3, 5]
    assert at_steps == {step: annealing.history[step] for step in at_steps}
    at_epochs = [float(row["temperature"]) for row in table if row["temperature"] and row["epoch"]]
    assert at_epochs == pytest.approx([annealing.history[2], annealing.history[5]])
    assert its.callback_metrics["temperature"] == 1.0


@pytest.mark.parametrize("options", [{}, {"barebones": True}], ids=["no logger", "barebones"])
def test_no_logger_is_needed(options):
    module = Watched()
    its = trainer(callbacks=[TemperatureAnnealing(schedule="linear")], max_epochs=2, **options)
    its.fit(module, loader(4))
    assert module.trained == ramp("linear", 8)
    assert ("loss.temperature" in its.callback_metrics) == (not options)


def test_it_can_be_plotted_before_training():
    import matplotlib.pyplot as plt

    annealing = TemperatureAnnealing(hold_fraction=0.25)
    figure, axes = annealing.plot()
    progress, values = axes.lines[0].get_data()
    assert (values[0], values[-1], axes.get_ylabel()) == (4.0, 1.0, "loss.temperature")
    assert all(value == annealing.value_at(p) for p, value in zip(progress, values, strict=True))
    assert annealing.plot(axes) == (figure, axes)
    assert len(axes.lines) == 2
    plt.close(figure)


def test_it_pickles():
    annealing = TemperatureAnnealing(schedule="cosine")
    fit(Watched(), annealing)
    again = pickle.loads(pickle.dumps(annealing))
    assert (again.history, again.state_key) == (annealing.history, annealing.state_key)
    assert again.state_key == "TemperatureAnnealing(attribute='loss.temperature')"


# What it refuses


class Bare(pytorch_lightning.LightningModule):
    lr = 0.1
    training_step = Watched.training_step
    validation_step = Watched.validation_step
    configure_optimizers = Watched.configure_optimizers

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(3, 6)


REMEDY = "Pass loss=TemperatureCrossEntropyLoss() to"


@pytest.mark.parametrize(
    ("module", "attribute", "sentence"),
    [
        (
            lambda: TopKClassifier(num_classes=4),
            "loss.temperature",
            "attribute must be an attribute of TopKClassifier, got 'loss.temperature', but loss is CrossEntropyLoss, "
            f"which has no temperature. {REMEDY} TopKClassifier.",
        ),
        (
            lambda: Watched(nn.functional.cross_entropy),
            "loss.temperature",
            "attribute must be an attribute of Watched, got 'loss.temperature', but loss is the function cross_entropy, "
            f"which has no temperature. {REMEDY} Watched.",
        ),
        (
            Bare,
            "loss.temperature",
            "attribute must be an attribute of Bare, got 'loss.temperature', but Bare has no loss. "
            "Add this line to Bare.__init__: self.loss = TemperatureCrossEntropyLoss()",
        ),
        (
            Watched,
            "criterion.temperature",
            "attribute must be an attribute of Watched, got 'criterion.temperature', but Watched has no criterion. "
            "Did you mean attribute='loss.temperature'?",
        ),
        (
            Bare,
            "sharpness",
            "attribute must be an attribute of Bare, got 'sharpness', but Bare has no sharpness. "
            "Add this line to Bare.__init__: self.sharpness = 4.0",
        ),
        (
            Watched,
            "network.weight.grad",
            "Watched.network.weight.grad must be a number or a tensor of floats, got None of type NoneType.",
        ),
        (
            Watched,
            "loss.reduction",
            "Watched.loss.reduction must be a number or a tensor of floats, got 'mean' of type str.",
        ),
    ],
)
def test_a_module_without_the_attribute_is_an_error_that_shows_the_line_to_add(module, attribute, sentence):
    module = module()
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        fit(module, TemperatureAnnealing(attribute=attribute), validation=1, num_sanity_val_steps=1)
    assert getattr(module, "trained", []) == getattr(module, "validated", []) == []


def test_an_integer_tensor_could_not_hold_a_temperature():
    module = Watched(TensorTemperature("buffer", 2))
    sentence = "Watched.loss.temperature must be a number or a tensor of floats, got a tensor of torch.int64."
    with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
        fit(module, TemperatureAnnealing())


def test_two_on_one_attribute_are_an_error():
    # The trainer sees equal state keys; ours sees two ways to the same number, and two kinds of callbacks.
    with pytest.raises(RuntimeError, match="more than one stateful callback of type `TemperatureAnnealing`"):
        trainer(callbacks=[TemperatureAnnealing(), TemperatureAnnealing(start=2.0)])
    module = Watched()
    module.criterion = module.loss
    for other in (
        TemperatureAnnealing(attribute="criterion.temperature"),
        KAnnealing(at=(0, 0.5, 0.8), attribute="loss.temperature"),
    ):
        sentence = (
            "attribute must be set by one callback, got 'loss.temperature' by "
            f"TemperatureAnnealing and {type(other).__name__}."
        )
        with pytest.raises(CallbackError, match=f"^{re.escape(sentence)}$"):
            fit(module, [TemperatureAnnealing(), other])


def test_two_attributes_have_a_callback_each():
    module = Watched()
    module.other = TensorTemperature("buffer")
    callbacks = [TemperatureAnnealing(), TemperatureAnnealing(2.0, 3.0, attribute="other.temperature")]
    fit(module, callbacks)
    assert (module.loss.temperature, module.other.temperature) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"start": 0.0}, ValueError, "start must be a finite number above 0, got 0.0."),
        ({"end": -1}, ValueError, "end must be a finite number above 0, got -1."),
        ({"eval_value": 0}, ValueError, "eval_value must be a finite number above 0, got 0."),
        ({"start": "4"}, TypeError, "start must be a number, got '4' of type str."),
        ({"total_steps": 0}, ValueError, "total_steps must be at least 1, got 0."),
        ({"interval": "batch"}, ValueError, "interval must be one of 'step', 'epoch', got 'batch'."),
        (
            {"schedule": "polynomial"},
            ValueError,
            "schedule must be one of 'exponential', 'linear', 'cosine', got 'polynomial'.",
        ),
        (
            {"schedule": Linear},
            TypeError,
            "schedule must be a name, a Schedule or a function of the progress in [0, 1], got the class Linear.",
        ),
        (
            {"schedule": Linear(2, 1), "start": 2.0},
            ValueError,
            "start must be left out where schedule is an object, got 2.0. Give start to the schedule instead.",
        ),
        (
            {"schedule": lambda progress: 1 - progress, "attribute": "loss.temperature"},
            None,
            "schedule must return a finite number above 0, got 0.0 at progress 1.",
        ),
        ({"hold_fraction": 1.0}, ValueError, "finish_fraction must be above hold_fraction (1.0), got 1.0."),
        (
            {"attribute": "loss..k"},
            ValueError,
            "attribute must be a dotted path such as \"loss.temperature\", got 'loss..k'.",
        ),
        ({"attribute": 3}, TypeError, "attribute must be a text, got 3 of type int."),
    ],
)
def test_a_wrong_option_is_named(options, error, sentence):
    with pytest.raises(error or CallbackError, match=f"^{re.escape(sentence)}$"):
        TemperatureAnnealing(**options).value_at(1.0)
