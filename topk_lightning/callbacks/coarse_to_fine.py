"""CoarseToFine: learn the groups of classes before the classes, with one head."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from topk_lightning._checks.callbacks_annealing import check_attribute, stopped_short, unknown_length
from topk_lightning._checks.coarse_to_fine import (
    check_coarse_weight,
    check_phases,
    loss_not_called,
    two_on_one_loss,
)
from topk_lightning._checks.options import check_integer, check_ks, check_positive
from topk_lightning.callbacks._base import Callback
from topk_lightning.callbacks._coarse_loss import CoarseLoss
from topk_lightning.callbacks._find_hierarchy import find_hierarchy
from topk_lightning.callbacks._step_count import StepCount
from topk_lightning.callbacks._wrapped_loss import WrappedLoss
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.schedules import Schedule, Steps, named_ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["CoarseToFine"]


class CoarseToFine(Callback):
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
        k: one k or several for the logged accuracies.
        total_steps: optimizer steps of the whole training; None: what the trainer's limits and the data say.
        log_name: name under which λ is logged.

    Raises:
        ValueError: an argument out of range.
        topk_lightning.callbacks.CallbackError: when training starts, if there is no hierarchy or no such loss, if the
            loss has class weights or margins, or the length of training is unknown.

    Examples:
        >>> callback = CoarseToFine({"boston": "terrier", "airedale": "terrier", "beagle": "hound"}, hold_fraction=0.4)
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
        k: int | list[int] | tuple[int, ...] = (1, 5),
        total_steps: int | None = None,
        log_name: str = "coarse_weight",
    ) -> None:
        super().__init__()
        self.fine_to_coarse = fine_to_coarse
        self.schedule = _schedule(schedule, hold_fraction, finish_fraction)
        self.attribute = check_attribute(attribute)
        self.level = level
        self.k = check_ks(k)
        self.total_steps = None if total_steps is None else check_integer("total_steps", total_steps)
        self.log_name = log_name
        self._wrapped: WrappedLoss | None = None
        self._begin()

    def _begin(self) -> None:
        self._count = StepCount()
        self._weight: float | None = None
        self._called = False

    @property
    def state_key(self) -> str:
        """The key of the state in a checkpoint: one for each loss."""
        return f"{type(self).__qualname__}(attribute={self.attribute!r})"

    def value_at(self, progress: float) -> float:
        """Return λ, the weight of the coarse loss, at a progress of training in [0, 1]."""
        return check_coarse_weight(self.schedule(progress), progress)

    def plot(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw λ against the progress of training; no training is needed.

        Args:
            ax: matplotlib axes to draw into; by default new ones.

        Returns:
            The figure and the axes.
        """
        progresses = [i / 400 for i in range(401)]
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots()
        ax.plot(progresses, [self.value_at(progress) for progress in progresses])
        ax.set(xlabel="progress of training", ylabel="weight of the coarse loss", xlim=(0, 1))
        return ax.figure, ax  # type: ignore[return-value]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin afresh; the state of a checkpoint comes after this."""
        if stage == "fit":
            self._begin()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the hierarchy and the loss, and stand before the loss."""
        self._release()
        wrapped = WrappedLoss(pl_module, self.attribute)
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(other, CoarseToFine) and other._wrapped and other._wrapped.loss is wrapped.loss:
                raise two_on_one_loss(self.attribute)
        hierarchy = find_hierarchy(trainer, pl_module, self.fine_to_coarse, self.level)
        self._loss = CoarseLoss(self.attribute, hierarchy, self.k, wrapped.loss)
        wrapped.put(self._loss)
        self._wrapped = wrapped

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn how long training will be."""
        self._count.begin(trainer)
        if self.total_steps is None and math.isinf(self._count.total_steps(trainer)):
            raise unknown_length(type(self).__name__)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set λ of the next optimizer step; the loss is a coarse one only between here and the end of the batch."""
        if self._count.advance(trainer) or self._weight is None:
            steps, total = self._count.steps, self.total_steps or self._count.total_steps(trainer)
            self._weight = self.value_at(min(1.0, steps / (total - 1)) if total > 1 else 0.0)
            every = trainer.log_every_n_steps  # type: ignore[attr-defined]
            if every and (steps + 1) % every == 0:
                for logger in trainer.loggers:
                    logger.log_metrics({self.log_name: self._weight}, step=steps)
        self._loss.weight = self._weight

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch in the accuracies of training."""
        self._loss.weight = 0.0
        self._called |= bool(self._loss.seen)
        if outputs and not self._called:
            raise loss_not_called(self.attribute, pl_module)
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
            raise loss_not_called(self.attribute, pl_module)
        if self._weight is not None and not trainer.barebones:
            pl_module.log(self.log_name, self._weight, sync_dist=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if the schedule was made for more optimizer steps than there were."""
        self._count.advance(trainer)
        if self.total_steps is None and not trainer.should_stop:
            steps, total = self._count.steps, self._count.total_steps(trainer)
            if steps < total:
                warnings.warn(stopped_short(type(self).__name__, steps, int(total)), stacklevel=1)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the loss back."""
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the loss back."""
        self._release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the loss back."""
        self._release()

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps as plain data, for a checkpoint."""
        return self._count.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was saved."""
        self._count.load_state_dict(state_dict)

    def _release(self) -> None:
        if self._wrapped is not None:
            self._wrapped.remove()
            self._wrapped = None


def _schedule(
    schedule: str | Schedule | Callable[[float], float], hold_fraction: float | None, finish_fraction: float | None
) -> Callable[[float], float]:
    given = check_phases(schedule, hold_fraction, finish_fraction)
    if not isinstance(given, str):
        return given
    hold = 0.3 if hold_fraction is None else hold_fraction
    if given != "switch":
        finish = 1.0 if finish_fraction is None else finish_fraction
        return named_ramp(given, 1.0, 0.0, hold_fraction=hold, finish_fraction=finish)
    return Steps((1.0, 0.0), (0.0, check_positive("hold_fraction", hold)))
