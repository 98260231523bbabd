"""Optimizer steps of a training: how many were made, how many will be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

__all__ = ["StepCount"]


class StepCount:
    """Count optimizer steps: one for each batch in which the trainer's ``global_step`` grew.

    ``global_step`` itself runs twice as fast with two optimizers. The growth is looked at before a batch, so a count that
    was saved in any hook after the step is made good at the first batch of a resumed training.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._global_step = 0
        self._first_global_step = 0
        self._first_epoch = 0
        self._fresh = True
        self._by_epochs = math.inf

    def begin(self, trainer: Trainer) -> None:
        """Count from here on, unless a checkpoint was loaded; the data are known now."""
        if self._fresh:
            # Not 0 for a second fit of the same trainer.
            self._first_global_step = self._global_step = trainer.global_step
            self._first_epoch = trainer.current_epoch
            self._fresh = False
        epochs = self._max_epochs(trainer)
        if math.isfinite(epochs):
            self._by_epochs = sum(_steps_of_epoch(trainer, self._first_epoch + i) for i in range(int(epochs)))

    def advance(self, trainer: Trainer) -> bool:
        """Return whether an optimizer step was made since the last call."""
        if trainer.global_step <= self._global_step:
            return False
        self._global_step = trainer.global_step
        self.steps += 1
        return True

    def total_steps(self, trainer: Trainer) -> float:
        """Return the optimizer steps of the whole training, inf where unknown: the trainer's estimated_stepping_batches.

        It differs only where that estimate has its limits: a GradientAccumulationScheduler, a second fit of the same
        trainer, and ``max_steps``, which counts the steps of several optimizers one by one.
        """
        left = self._max_steps(trainer)
        if self.steps and math.isfinite(left):
            left = math.ceil(left * self.steps / (self._global_step - self._first_global_step))
        return min(self._by_epochs, left)

    def total_epochs(self, trainer: Trainer, total_steps: int | None) -> float:
        """Return the epochs that will begin in the whole training, inf where unknown."""
        epochs = self._max_epochs(trainer)
        left = total_steps if total_steps is not None else self.total_steps(trainer)
        if total_steps is None and math.isinf(self._max_steps(trainer)):
            return epochs
        if math.isinf(_steps_of_epoch(trainer, self._first_epoch)):
            return math.inf
        begun = 0
        while left > 0 and begun < epochs:
            left -= _steps_of_epoch(trainer, self._first_epoch + begun)
            begun += 1
        return begun

    def epoch(self, trainer: Trainer) -> int:
        """Return the number of epochs of this training before the current one."""
        return trainer.current_epoch - self._first_epoch

    def finished(self, trainer: Trainer) -> float:
        """Return the finished fraction of training, by whichever of max_epochs and max_steps ends it; NaN if unknown."""
        parts = [
            self.epoch(trainer) / self._max_epochs(trainer),
            (trainer.global_step - self._first_global_step) / self._max_steps(trainer),
        ]
        known = math.isfinite(self._max_epochs(trainer)) or math.isfinite(self._max_steps(trainer))
        return min(1.0, max(parts)) if known else math.nan

    def state_dict(self) -> dict[str, int]:
        """Return the count as plain data."""
        return {
            "steps": self.steps,
            "global_step": self._global_step,
            "first_global_step": self._first_global_step,
            "first_epoch": self._first_epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the count of a checkpoint."""
        self.steps = state["steps"]
        self._global_step = state["global_step"]
        self._first_global_step = state["first_global_step"]
        self._first_epoch = state["first_epoch"]
        self._fresh = False

    def _max_epochs(self, trainer: Trainer) -> float:
        limit = trainer.max_epochs
        return math.inf if limit is None or limit < 0 else max(limit - self._first_epoch, 1)

    def _max_steps(self, trainer: Trainer) -> float:
        return math.inf if trainer.max_steps < 0 else max(trainer.max_steps - self._first_global_step, 1)


def _steps_of_epoch(trainer: Trainer, epoch: int) -> float:
    """Return the optimizer steps of an epoch; its last accumulation window may be shorter."""
    window = trainer.accumulate_grad_batches
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, "get_accumulate_grad_batches"):
            window = callback.get_accumulate_grad_batches(epoch)
    batches = trainer.num_training_batches
    return batches if math.isinf(batches) else math.ceil(batches / window)
