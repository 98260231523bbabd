"""TemperatureAnnealing: a softmax temperature that follows a schedule, step by step or epoch by epoch."""

from __future__ import annotations

import math
import warnings
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch

from topk_lightning._checks.callbacks_annealing import stopped_short, unknown_epochs, unknown_length
from topk_lightning._checks.options import check_choice, check_integer, check_positive
from topk_lightning.callbacks._annealing import AttributeAnnealing
from topk_lightning.callbacks._curricula import TemperatureCurve
from topk_lightning.schedules import Schedule

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["TemperatureAnnealing"]


class TemperatureAnnealing(AttributeAnnealing):
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

    _whole = False

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
        super().__init__(attribute, check_positive("eval_value", eval_value), log_name)
        self.interval = check_choice("interval", interval, ("step", "epoch"))
        self.total_steps = None if total_steps is None else check_integer("total_steps", total_steps)
        self._curve = TemperatureCurve(schedule, start, end, hold_fraction, finish_fraction)
        self.schedule = self._curve.schedule
        is_of_loss = self.attribute.endswith(".temperature")
        self._example = "TemperatureCrossEntropyLoss()" if is_of_loss else repr(self.value_at(0))

    def _begin(self) -> None:
        super()._begin()
        self._history = array("d")

    @property
    def history(self) -> list[float]:
        """The value of each optimizer step so far, from the first."""
        return list(self._history)

    def value_at(self, progress: float) -> float:
        """Return the temperature at a progress of training in [0, 1]."""
        return self._curve(progress)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn how long training will be."""
        super().on_train_start(trainer, pl_module)
        if self.interval == "epoch":
            if math.isinf(self._count.total_epochs(trainer, self.total_steps)):
                raise unknown_epochs("interval", 'be "step"', repr("epoch"))
        elif self.total_steps is None and math.isinf(self._count.total_steps(trainer)):
            raise unknown_length(type(self).__name__)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the temperature of the next optimizer step."""
        stepped = self._count.advance(trainer)
        if not stepped and self._value is not None:
            return
        value, steps = self.value_at(self._progress(trainer)), self._count.steps
        self._set(pl_module, value)
        # A checkpoint within an accumulation window already holds the value of its step.
        del self._history[steps:]
        self._history.append(value)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (steps + 1) % every == 0:
            for logger in trainer.loggers:
                logger.log_metrics({self.log_name: value}, step=steps)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if the schedule was made for more optimizer steps than there were."""
        self._count.advance(trainer)
        if self.total_steps is None and self.interval == "step" and not trainer.should_stop:
            steps, total = self._count.steps, self._count.total_steps(trainer)
            if steps < total:
                warnings.warn(stopped_short(type(self).__name__, steps, int(total)), stacklevel=1)

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps and the history as plain data, for a checkpoint."""
        return {**self._count.state_dict(), "history": torch.tensor(self._history, dtype=torch.float64)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was saved."""
        self._count.load_state_dict(state_dict)
        self._history = array("d", state_dict["history"].tolist())

    def _progress(self, trainer: Trainer) -> float:
        if self.interval == "epoch":
            place: float = self._count.epoch(trainer)
            total = self._count.total_epochs(trainer, self.total_steps)
        else:
            place = self._count.steps
            total = self.total_steps or self._count.total_steps(trainer)
        return min(1.0, place / (total - 1)) if total > 1 else 0.0
