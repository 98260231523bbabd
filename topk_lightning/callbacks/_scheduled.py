"""One engine for a value that follows training: how far training has come, what belongs there, logged and saved."""

from __future__ import annotations

import math
import warnings
from array import array
from typing import TYPE_CHECKING, Any

import torch

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_integer
from topk_lightning.callbacks._base import Callback
from topk_lightning.callbacks._step_count import StepCount
from topk_lightning.curricula import Curriculum, check_attribute, progress_at

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["Scheduled", "ScheduledBySteps", "unknown_epochs"]


class Scheduled(Curriculum, Callback):
    """Give a value to each part of training, log it, keep the place in a checkpoint; a subclass says when it moves.

    Args:
        attribute: dotted path of what is changed in the module.
        log_name: name under which the value is logged; None: the attribute.
    """

    def __init__(self, attribute: str, log_name: str | None) -> None:
        super().__init__()
        self.attribute = check_attribute(attribute)
        self.log_name = log_name or self.attribute
        self._begin()

    def _begin(self) -> None:
        """Forget the last training."""
        self._count = StepCount()
        self._value: float | None = None

    @property
    def state_key(self) -> str:
        """The key of the state in a checkpoint: one for each attribute."""
        return f"{type(self).__qualname__}(attribute={self.attribute!r})"

    def _label(self) -> str:
        return self.log_name

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin afresh; the state of a checkpoint comes after this."""
        if stage == "fit":
            self._begin()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn how long training will be."""
        # Not earlier: asking for it loads the data, and data that are loaded before the loops are restored lose the
        # place at which a stateful loader should resume.
        self._count.begin(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the value of the epoch's last step beside the metrics of the epoch."""
        if self._value is not None and not trainer.barebones:
            pl_module.log(self.log_name, float(self._value), sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in training as plain data, for a checkpoint."""
        return self._count.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was saved."""
        self._count.load_state_dict(state_dict)

    def _set(self, pl_module: LightningModule, value: float) -> None:
        self._value = value


class ScheduledBySteps(Scheduled):
    """Move a value at each optimizer step, or at the first batch of each epoch.

    Args:
        attribute: dotted path of what is changed in the module.
        log_name: name under which the value is logged; None: the attribute.
        total_steps: optimizer steps of the whole training; None: what the trainer's limits and the data say.
        interval: "step" or "epoch".
    """

    def __init__(self, attribute: str, log_name: str | None, total_steps: int | None, interval: str = "step") -> None:
        super().__init__(attribute, log_name)
        self.total_steps = None if total_steps is None else check_integer("total_steps", total_steps)
        self.interval = interval

    def _begin(self) -> None:
        super()._begin()
        self._history = array("d")

    @property
    def history(self) -> list[float]:
        """The value of each optimizer step so far, from the first."""
        return list(self._history)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn how long training will be."""
        super().on_train_start(trainer, pl_module)
        if self.interval == "epoch":
            if math.isinf(self._count.total_epochs(trainer, self.total_steps)):
                raise unknown_epochs("interval", 'be "step"', repr("epoch"))
        elif self.total_steps is None and math.isinf(self._count.total_steps(trainer)):
            remedy = f"Pass total_steps= to {type(self).__name__}, or max_steps= to the Trainer."
            wanted = "be given where the length of training is unknown (endless, or data without a length)"
            raise CallbackError(must("total_steps", wanted, None, remedy))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the value of the next optimizer step."""
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
                wanted = "be given where the optimizer does not step at each batch (or accumulation window)"
                actual = f"{steps} steps instead of {int(total)}, so the schedule did not reach its end"
                remedy = f"Pass total_steps={steps} to {type(self).__name__}."
                warnings.warn(must("total_steps", wanted, actual, remedy), stacklevel=1)

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps and the history as plain data, for a checkpoint."""
        return {**super().state_dict(), "history": torch.tensor(self._history, dtype=torch.float64)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was saved."""
        super().load_state_dict(state_dict)
        self._history = array("d", state_dict["history"].tolist())

    def _progress(self, trainer: Trainer) -> float:
        if self.interval == "epoch":
            return progress_at(self._count.epoch(trainer), self._count.total_epochs(trainer, self.total_steps))
        return progress_at(self._count.steps, self.total_steps or self._count.total_steps(trainer))


def unknown_epochs(argument: str, wanted: str, actual: Any) -> CallbackError:
    """Return the error for a training whose number of epochs nobody knows."""
    remedy = "Pass max_epochs= to the Trainer."
    return CallbackError(must(argument, f"{wanted} where the number of epochs is unknown", actual, remedy))
