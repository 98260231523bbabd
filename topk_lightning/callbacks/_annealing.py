"""What the annealing callbacks share: one number of the module, set in training, another value in validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topk_lightning._checks.callbacks_annealing import annealed_twice, check_attribute
from topk_lightning.callbacks._base import Callback
from topk_lightning.callbacks._curricula import plot_curriculum
from topk_lightning.callbacks._module_attribute import ModuleAttribute
from topk_lightning.callbacks._step_count import StepCount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["AttributeAnnealing"]

_NOT_SAVED = object()


class AttributeAnnealing(Callback):
    """Set a number of the module in the course of training; a subclass says when, and to what.

    Validation within ``fit`` and the sanity check see `eval_value`, so that what they measure stays comparable; the
    training value comes back after them, also after an exception. Outside ``fit`` the module is not touched.

    Args:
        attribute: dotted path of a plain attribute, buffer or parameter of the module.
        eval_value: the value in validation.
        log_name: name under which the value is logged; None: the attribute.
    """

    #: What to write where the module lacks the attribute, and whether its values are whole numbers; set by a subclass.
    _example: str
    _whole: bool

    def __init__(self, attribute: str, eval_value: float, log_name: str | None) -> None:
        super().__init__()
        self.attribute = check_attribute(attribute)
        self.eval_value = eval_value
        self.log_name = log_name or self.attribute
        self._target = ModuleAttribute(self.attribute)
        self._begin()

    def _begin(self) -> None:
        """Forget the last training."""
        self._count = StepCount()
        self._value: float | None = None
        self._saved: Any = _NOT_SAVED

    @property
    def state_key(self) -> str:
        """The key of the state in a checkpoint: one for each attribute."""
        return f"{type(self).__qualname__}(attribute={self.attribute!r})"

    def value_at(self, progress: float) -> float:
        """Return the value at a progress of training in [0, 1]."""
        raise NotImplementedError

    def plot(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw the value against the progress of training; no training is needed.

        Args:
            ax: matplotlib axes to draw into; by default new ones.

        Returns:
            The figure and the axes.
        """
        return plot_curriculum(self.value_at, self.attribute, self._whole, ax)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin afresh; the state of a checkpoint comes after this."""
        if stage == "fit":
            self._begin()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that the module has the attribute, and that nobody else sets it."""
        self._target.check(pl_module, self._example, self._whole)
        others = [other for other in trainer.callbacks if isinstance(other, AttributeAnnealing)]  # type: ignore[attr-defined]
        for other in others[others.index(self) + 1 :]:
            other._target.check(pl_module, other._example, other._whole)
            (mine, name), (theirs, other_name) = self._target.owner(pl_module), other._target.owner(pl_module)
            if mine is theirs and name == other_name:
                raise annealed_twice(self.attribute, (self, other))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn how long training will be."""
        # Not earlier: asking for it loads the data, and data that are loaded before the loops are restored lose the
        # place at which a stateful loader should resume.
        self._count.begin(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the value of the epoch's last step beside the metrics of the epoch."""
        if self._value is not None and not trainer.barebones:
            pl_module.log(self.log_name, float(self._value), sync_dist=True)

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
            self._value = value
