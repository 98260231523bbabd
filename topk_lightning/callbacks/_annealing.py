"""What the annealing callbacks share: one number of the module, set in training, another value in validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topk_lightning.callbacks._scheduled import Scheduled
from topk_lightning.curricula import ModuleAttribute, annealed_twice, warn_of_units

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["AttributeAnnealing"]

_NOT_SAVED = object()


class AttributeAnnealing(Scheduled):
    """Set a number of the module in the course of training; a subclass says when, and to what.

    Validation within ``fit`` and the sanity check see `eval_value`, so that what they measure stays comparable; the
    training value comes back after them, also after an exception. Outside ``fit`` the module is not touched.

    Args:
        attribute: dotted path of a plain attribute, buffer or parameter of the module.
        eval_value: the value in validation.
        log_name: name under which the value is logged; None: the attribute.
        options: of what moves the value, see :class:`ScheduledBySteps`.
    """

    #: What to write where the module lacks the attribute; set by a subclass.
    _example: str

    def __init__(self, attribute: str, eval_value: float, log_name: str | None, **options: Any) -> None:
        super().__init__(attribute, log_name, **options)
        self.eval_value = eval_value
        self._target = ModuleAttribute(self.attribute)

    def _begin(self) -> None:
        super()._begin()
        self._saved: Any = _NOT_SAVED

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that the module has the attribute, and that nobody else sets it."""
        self._target.check(pl_module, self._example, self._whole)
        warn_of_units(self.attribute, *self._target.owner(pl_module))
        others = [other for other in trainer.callbacks if isinstance(other, AttributeAnnealing)]  # type: ignore[attr-defined]
        for other in others[others.index(self) + 1 :]:
            other._target.check(pl_module, other._example, other._whole)
            (mine, name), (theirs, other_name) = self._target.owner(pl_module), other._target.owner(pl_module)
            if mine is theirs and name == other_name:
                raise annealed_twice(self.attribute, (self, other))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the value of validation."""
        if trainer.state.fn == "fit":
            self._saved = self._target.read(pl_module)
            self._target.write(pl_module, self.eval_value)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Set the value of validation again: weight averaging exchanges buffers and parameters after its start."""
        if batch_idx == 0 and self._saved is not _NOT_SAVED:
            self._target.write(pl_module, self.eval_value)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the value of training back."""
        self._restore(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Bring the value of training back."""
        self._restore(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the last value of training in the module."""
        self._restore(pl_module)
        if stage == "fit" and self._value is not None:
            # Weight averaging has put its average into buffers and parameters.
            self._target.write(pl_module, self._value)

    def _restore(self, pl_module: LightningModule) -> None:
        if self._saved is not _NOT_SAVED:
            self._target.write(pl_module, self._saved)
            self._saved = _NOT_SAVED

    def _set(self, pl_module: LightningModule, value: float) -> None:
        if value != self._value:
            self._target.write(pl_module, value)
            super()._set(pl_module, value)
