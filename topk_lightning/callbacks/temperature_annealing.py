"""TemperatureAnnealing: a softmax temperature that follows a schedule, step by step or epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from topk_lightning._checks.options import check_choice, check_positive
from topk_lightning.callbacks._annealing import AttributeAnnealing
from topk_lightning.callbacks._scheduled import ScheduledBySteps
from topk_lightning.curricula import TemperatureCurve
from topk_lightning.schedules import Schedule

__all__ = ["TemperatureAnnealing"]


class TemperatureAnnealing(AttributeAnnealing, ScheduledBySteps):
    r"""Anneal the temperature of a loss in the course of training.

    With s optimizer steps made and T in all, the next step sees schedule(s/(T − 1)): the first batch `start`, the last
    optimizer step `end`, and all batches of an accumulation window the same value. A step is a batch in which
    ``trainer.global_step`` grew, however many optimizers stepped. A training of one step sees `start`; one that stops
    early (EarlyStopping, ``max_time``) ends where it stopped; steps beyond `total_steps` see `end`.

    A checkpoint keeps the count, so a training that resumes, also within an epoch, continues exactly. Another ``fit``
    without a checkpoint begins afresh. Validation within ``fit`` and the sanity check see `eval_value`; validate, test and
    predict do not touch the module. The value is logged at the steps at which LearningRateMonitor logs, and at the end of
    each epoch.

    Args:
        start: temperature > 0 at the first step.
        end: temperature > 0 at the last step; above or below `start`.
        schedule: "exponential", "linear" or "cosine", a :class:`topk_lightning.schedules.Schedule` or any function of the
            progress in [0, 1] (which then has its own ends and fractions).
        attribute: dotted path of the temperature in the module: a plain attribute, a buffer or a parameter.
        interval: "step": the value moves at each optimizer step; "epoch": at the first batch of each epoch, with the
            progress e/(E − 1) of epoch e of E.
        hold_fraction: progress in [0, 1] up to which `start` is held.
        finish_fraction: progress in (hold_fraction, 1] from which `end` is held.
        total_steps: optimizer steps T of the whole training; None: what the trainer's limits and the data say.
        eval_value: temperature > 0 in validation within ``fit``.
        log_name: name under which the value is logged; None: the attribute.

    Raises:
        ValueError: a value out of its range.
        topk_lightning.callbacks.CallbackError: when training starts, if the module has no such attribute, another
            callback sets it, or the length of training is unknown.

    Examples:
        >>> annealing = TemperatureAnnealing(start=4.0, end=1.0)
        >>> annealing.value_at(0), round(annealing.value_at(0.5), 9), annealing.value_at(1)
        (4.0, 2.0, 1.0)
    """

    def __init__(
        self,
        start: float = 4.0,
        end: float = 1.0,
        schedule: Literal["exponential", "linear", "cosine"] | Schedule | Callable[[float], float] = "exponential",
        attribute: str = "loss.temperature",
        interval: Literal["step", "epoch"] = "step",
        hold_fraction: float = 0.0,
        finish_fraction: float = 1.0,
        total_steps: int | None = None,
        eval_value: float = 1.0,
        log_name: str | None = None,
    ) -> None:
        interval = check_choice("interval", interval, ("step", "epoch"))  # type: ignore[assignment]
        eval_value = check_positive("eval_value", eval_value)
        super().__init__(attribute, eval_value, log_name, total_steps=total_steps, interval=interval)
        self._curve = TemperatureCurve(schedule, start, end, hold_fraction, finish_fraction)
        self.schedule = self._curve.schedule
        is_of_loss = self.attribute.endswith(".temperature")
        self._example = "TemperatureCrossEntropyLoss()" if is_of_loss else repr(self.value_at(0))

    def value_at(self, progress: float) -> float:
        """Return the temperature at a progress of training in [0, 1]."""
        return self._curve(progress)
