"""KAnnealing: the k of a loss goes down a ladder, by the progress of training or as a metric gets better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_integer
from topk_lightning.callbacks._annealing import AttributeAnnealing
from topk_lightning.callbacks._scheduled import unknown_epochs
from topk_lightning.curricula import KLadder

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["KAnnealing"]


class KAnnealing(AttributeAnnealing):
    """Change the k of a loss between epochs: forgive at first what may stand among the k best, then ask for more.

    By progress (`at`), an epoch sees the last rung whose progress has come: with at=(0, 0.5, 0.8) and 10 epochs the first
    5 epochs see the first rung, the next 3 the second, the last 2 the third. By a metric (`monitor`), the ladder moves one
    rung after `patience` epochs in a row in which the metric reached `threshold`; an epoch without the metric counts
    nothing. Either is decided once, by the first process, before an epoch begins, and k is the same for a whole epoch.

    The metrics of the module keep their own fixed k, so ``val/top5`` means the same in each epoch, and checkpoints and
    early stopping that go by it stay comparable. The loss in validation within ``fit`` sees `eval_value`, for the same
    reason. Nothing is decided in the sanity check and in ``fast_dev_run``; validate, test and predict do not touch the
    module. A checkpoint keeps the rung, also within an epoch; another ``fit`` without one begins with the first rung.

    Args:
        ladder: the k to go through, at least two, each in [1, C]; downwards or upwards.
        at: the progress in [0, 1] at which each rung begins: as many as rungs, 0 first, ascending.
        monitor: name of a logged metric to go by instead.
        threshold: what the metric has to reach.
        patience: epochs ≥ 1 in a row in which it has to.
        mode: "max" where larger is better, "min" for a loss.
        attribute: dotted path of k in the module.
        eval_value: k of the loss in validation within ``fit``; None: the last rung.
        log_name: name under which k is logged at the end of each epoch; None: the attribute.

    Raises:
        ValueError: a value out of its range, neither or both of `at` and `monitor`.
        topk_lightning.callbacks.CallbackError: if the module has no such attribute, another callback sets it, the number
            of epochs is unknown, or `monitor` is not logged.

    Examples:
        >>> annealing = KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8))
        >>> [annealing.value_at(epoch / 10) for epoch in range(10)]
        [5, 5, 5, 5, 5, 3, 3, 3, 1, 1]
        >>> by_metric = KAnnealing(ladder=(5, 3, 1), monitor="val/top5", threshold=0.9, patience=2)
    """

    _whole = True

    def __init__(
        self,
        ladder: Sequence[int] = (5, 3, 1),
        at: Sequence[float] | None = None,
        monitor: str | None = None,
        threshold: float | None = None,
        patience: int = 1,
        mode: Literal["max", "min"] = "max",
        attribute: str = "loss.k",
        eval_value: int | None = None,
        log_name: str | None = None,
    ) -> None:
        self._rule = KLadder(ladder, at, monitor, threshold, patience, mode)
        self.ladder, self.at, self.monitor = self._rule.rungs, self._rule.at, monitor
        eval_value = self.ladder[-1] if eval_value is None else check_integer("eval_value", eval_value)
        super().__init__(attribute, eval_value, log_name)
        is_of_loss = self.attribute.endswith(".k")
        self._example = f"SmoothTopKSVMLoss(k={self.ladder[0]})" if is_of_loss else str(self.ladder[0])

    def _begin(self) -> None:
        super()._begin()
        self._rung = 0
        self._reached = 0
        self._epoch: int | None = None
        self._ahead: float | None = None
        self._last_metric: Any = None
        self._must_exist = False
        #: The k of each epoch so far, from the first.
        self.history: list[int] = []

    def value_at(self, progress: float) -> int:
        """Return k at a progress of training in [0, 1]."""
        return self._rule.value_at(progress)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the first rung, or that of the checkpoint."""
        super().on_train_start(trainer, pl_module)
        if self.at is not None and math.isnan(self._count.finished(trainer)):
            raise unknown_epochs("at", "be replaced by monitor and threshold", self.at)
        self._set(pl_module, self.ladder[self._rung])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide on the k of this epoch."""
        self._begin_epoch(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Decide on the k of this epoch if its start was skipped, as some ways to resume do."""
        self._begin_epoch(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the metric of this epoch: a checkpoint may be saved before the next epoch decides by it."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._must_exist = True
            self._measure(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log k, and keep the metric of this epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        self._must_exist = self._must_exist or not trainer.enable_validation
        self._measure(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise where the metric was logged in no epoch at all."""
        super().on_train_end(trainer, pl_module)
        seen = self.monitor is None or self._last_metric is not None or self.monitor in trainer.callback_metrics
        if not seen and self._must_exist and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise self._missing_metric(trainer.callback_metrics)

    def state_dict(self) -> dict[str, Any]:
        """Return the rung and what it was decided by as plain data, for a checkpoint."""
        names = ("rung", "reached", "epoch", "ahead")
        return {
            **super().state_dict(),
            **{name: getattr(self, f"_{name}") for name in names},
            "history": list(self.history),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was saved."""
        super().load_state_dict(state_dict)
        self._rung, self._reached = state_dict["rung"], state_dict["reached"]
        self._epoch, self._ahead = state_dict["epoch"], state_dict["ahead"]
        self.history = list(state_dict["history"])

    def _begin_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self._epoch:
            return
        self._epoch = trainer.current_epoch
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._measure(trainer)
            decision: Any = self._decide(trainer) if trainer.is_global_zero else None
            self._rung, self._reached, existing = trainer.strategy.broadcast(decision)
            if existing is not None:
                raise self._missing_metric(existing)
        self._ahead = None
        self._set(pl_module, self.ladder[self._rung])
        epoch = self._count.epoch(trainer)
        # An epoch that a resume ended without a step has the k of the one before.
        skipped = self.history[-1:] * (epoch - len(self.history))
        self.history[epoch:] = [*skipped, self.ladder[self._rung]]

    def _decide(self, trainer: Trainer) -> tuple[int, int, list[str] | None]:
        """Return the rung, how often the metric has reached the threshold, and the metrics there are if it is missing."""
        if self.at is not None:
            return self._rule.rung_at(self._count.finished(trainer)), 0, None
        if self._ahead is None:
            exists = self.monitor in trainer.callback_metrics or not self._must_exist
            return self._rung, self._reached, None if exists else list(trainer.callback_metrics)
        return *self._rule.climb(self._rung, self._reached, self._ahead), None

    def _measure(self, trainer: Trainer) -> None:
        """Keep the metric if it is new: trainers go on showing the value of the last validation."""
        if self.monitor is None:
            return
        # Every process reads it, since reading joins it over the processes.
        metric = trainer.callback_metrics.get(self.monitor)
        if metric is not None and metric is not self._last_metric:
            self._last_metric, self._ahead = metric, self._rule.ahead(metric)

    def _missing_metric(self, existing: Iterable[str]) -> CallbackError:
        """Return the error for a monitor that the module does not log."""
        names = ", ".join(sorted(existing)) or "none"
        remedy = "Log it with self.log in a step or at the end of an epoch."
        return CallbackError(must("monitor", f"be one of the logged metrics ({names})", repr(self.monitor), remedy))
