"""CoarseToFine: learn the groups of classes before the classes, with one head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_choice, check_ks, check_positive
from topk_lightning.callbacks._coarse_loss import CoarseLoss
from topk_lightning.callbacks._find_hierarchy import find_hierarchy
from topk_lightning.callbacks._scheduled import ScheduledBySteps
from topk_lightning.callbacks._wrapped_loss import WrappedLoss
from topk_lightning.curricula import check_schedule
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.schedules import Schedule, Steps, named_ramp

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["CoarseToFine"]


class CoarseToFine(ScheduledBySteps):
    r"""Train on groups of classes first and on the classes afterwards, with one head and the module's own loss.

    With λ the weight of the coarse loss, which the schedule moves from 1 to 0, a training step computes

    .. math:: λ \, L(S, \text{group of } y) + (1 - λ) \, L(s, y), \qquad S_g = \log \sum_{c \in g} e^{s_c},

    where s are the logits and y the target that the module gives to its loss; soft targets are summed over each group.
    Nothing is built or exchanged: the same weights answer both questions, and checkpoints load without the callback.
    On groups a loss that looks at k classes looks at min(k, G − 1), since of G groups G are never wrong.

    λ counts optimizer steps as :class:`topk_lightning.TemperatureAnnealing` does: it is constant in an accumulation
    window, a resumed training continues exactly, also within an epoch, and another ``fit`` begins afresh.

    Validation always computes the fine loss, so that checkpoints and early stopping stay comparable. Logged each epoch:
    ``train/coarse_top<k>``, ``train/fine_top<k>``, ``val/coarse_top<k>``, ``val/fine_top<k>`` (for groups min(k, G)), and
    λ. Outside ``fit`` the module is not touched.

    Args:
        fine_to_coarse: group indices of the classes, {class: group} in names or indices, a csv file, a folder
            root/group/class (see :class:`topk_lightning.Hierarchy`); None: ``fine_to_coarse`` of the data module.
        schedule: "switch" (coarse up to `hold_fraction`, then fine), "linear" or "cosine" (from coarse at `hold_fraction`
            to fine at `finish_fraction`), a :class:`topk_lightning.schedules.Schedule` or any function of the progress in
            [0, 1] that returns λ.
        hold_fraction: progress in [0, 1] up to which only groups are learned; None: 0.3.
        finish_fraction: progress in (hold_fraction, 1] from which only classes are learned; None: 1.
        attribute: dotted path of the loss in the module, which its steps call as ``loss(logits, target)``.
        level: which level of the data module, where it has several.
        k: one k or several for the logged accuracies; None: 1 and min(5, C).
        total_steps: optimizer steps of the whole training; None: what the trainer's limits and the data say.
        log_name: name under which λ is logged.

    Raises:
        ValueError: an argument out of range.
        topk_lightning.callbacks.CallbackError: when training starts, if there is no hierarchy or no such loss, if the
            loss has class weights or margins, or the length of training is unknown.

    Examples:
        >>> callback = CoarseToFine(
        ...     {"boston": "terrier", "airedale": "terrier", "beagle": "hound"}, hold_fraction=0.4
        ... )
        >>> callback.value_at(0.39), callback.value_at(0.4)
        (1.0, 0.0)
    """

    def __init__(
        self,
        fine_to_coarse: list[int] | dict[str, str] | dict[int, int] | str | Path | Hierarchy | None = None,
        schedule: Literal["switch", "linear", "cosine"] | Schedule | Callable[[float], float] = "switch",
        hold_fraction: float | None = None,
        finish_fraction: float | None = None,
        attribute: str = "loss",
        level: str | None = None,
        k: int | list[int] | tuple[int, ...] | None = None,
        total_steps: int | None = None,
        log_name: str = "coarse_weight",
    ) -> None:
        super().__init__(attribute, log_name, total_steps)
        self.fine_to_coarse = fine_to_coarse
        self.schedule = _schedule(schedule, hold_fraction, finish_fraction)
        self.level = level
        self.k = None if k is None else check_ks(k)
        self._wrapped: WrappedLoss | None = None

    def _begin(self) -> None:
        super()._begin()
        self._called = False

    def value_at(self, progress: float) -> float:
        """Return λ, the weight of the coarse loss, at a progress of training in [0, 1]."""
        value = self.schedule(progress)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        wanted = "return the weight of the coarse loss, in [0, 1]"
        raise CallbackError(must("schedule", wanted, f"{value!r} at progress {progress:.4g}"))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the hierarchy and the loss, and stand before the loss."""
        self._release()
        wrapped = WrappedLoss(pl_module, self.attribute)
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(other, CoarseToFine) and other._wrapped and other._wrapped.loss is wrapped.loss:
                actual = f"{self.attribute!r} by two"
                raise CallbackError(must("attribute", "be coarsened by one CoarseToFine", actual))
        hierarchy = find_hierarchy(trainer, pl_module, self.fine_to_coarse, self.level)
        self._loss = CoarseLoss(self.attribute, hierarchy, self.k, wrapped.loss)
        wrapped.put(self._loss)
        self._wrapped = wrapped

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set λ of the next optimizer step; the loss is a coarse one only between here and the end of the batch."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._loss.weight = self._value or 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch in the accuracies of training."""
        self._loss.weight = 0.0
        self._called |= bool(self._loss.seen)
        if outputs and not self._called:
            raise self._not_called(pl_module)
        self._loss.log(pl_module, "train", 0, quiet=trainer.barebones)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch in the accuracies of validation."""
        if self._wrapped is not None:
            self._loss.log(pl_module, "val", dataloader_idx, quiet=trainer.barebones)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log λ of the epoch's last step beside the metrics of the epoch."""
        if not self._called:
            raise self._not_called(pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the loss back."""
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the loss back."""
        self._release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the loss back."""
        self._release()

    def _release(self) -> None:
        if self._wrapped is not None:
            self._wrapped.remove()
            self._wrapped = None

    def _not_called(self, module: LightningModule) -> CallbackError:
        """Return the error for a module that has the loss but computes another."""
        called = f"{type(module).__name__}.{self.attribute}"
        remedy = f"Call self.{self.attribute}(logits, target) in training_step, or pass the attribute that it calls."
        return CallbackError(must(called, "be called in training_step", "a step without it", remedy))


def _schedule(
    schedule: str | Schedule | Callable[[float], float], hold_fraction: float | None, finish_fraction: float | None
) -> Callable[[float], float]:
    if not isinstance(schedule, str):
        options = {"hold_fraction": (hold_fraction, None), "finish_fraction": (finish_fraction, None)}
        return check_schedule(schedule, options)
    check_choice("schedule", schedule, ("switch", "linear", "cosine"))
    hold = 0.3 if hold_fraction is None else hold_fraction
    if schedule != "switch":
        finish = 1.0 if finish_fraction is None else finish_fraction
        return named_ramp(schedule, 1.0, 0.0, hold_fraction=hold, finish_fraction=finish)
    if finish_fraction is not None:
        wanted, remedy = 'be left out where schedule is "switch"', "A switch happens at hold_fraction."
        raise InvalidValueError(must("finish_fraction", wanted, finish_fraction, remedy))
    return Steps((1.0, 0.0), (0.0, check_positive("hold_fraction", hold)))
