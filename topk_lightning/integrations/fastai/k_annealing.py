"""KAnnealing for a Learner: the k of a loss goes down a ladder, by the progress of training or as a metric gets better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_integer
from topk_lightning.curricula import KLadder
from topk_lightning.integrations.fastai._annealing import AttributeAnnealing

__all__ = ["KAnnealing"]


class KAnnealing(AttributeAnnealing):
    """Change the k of a loss between epochs: forgive at first what may stand among the k best, then ask for more.

    By progress (`at`), epoch e of E sees the last rung whose progress e/E has come. By a metric (`monitor`), the ladder
    moves one rung after `patience` epochs in a row in which the metric reached `threshold`; an epoch that was skipped
    or cut short counts nothing. k is the same for a whole epoch. Each fit begins with the first rung; one that goes on with
    `start_epoch` continues exactly where it goes by progress.

    The metrics of the Learner keep their own fixed k, so that SaveModelCallback and EarlyStoppingCallback stay comparable;
    for the same reason the loss in validation within a fit sees `eval_value`. `lr_find`, `validate`, `get_preds` and
    `predict` find the loss as it is.

    Args:
        ladder: the k to go through, at least two, each in [1, C]; downwards or upwards.
        at: the progress in [0, 1] at which each rung begins: as many as rungs, 0 first, ascending.
        monitor: name of a column of the recorder to go by instead, such as "top5" or "valid_loss".
        threshold: what the metric has to reach.
        patience: epochs ≥ 1 in a row in which it has to.
        mode: "max" where larger is better, "min" for a loss.
        attribute: dotted path of k in the loss or the model.
        eval_value: k of the loss in validation within a fit; None: the last rung.

    Raises:
        ValueError: a value out of its range, neither or both of `at` and `monitor`.
        topk_lightning.callbacks.CallbackError: when training starts, if there is no such attribute, another callback sets
            it, or `monitor` is not recorded.

    Examples:
        >>> annealing = KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8))
        >>> [annealing.value_at(epoch / 10) for epoch in range(10)]
        [5, 5, 5, 5, 5, 3, 3, 3, 1, 1]
        >>> by_metric = KAnnealing(ladder=(5, 3, 1), monitor="top5", threshold=0.9, patience=2)
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
        attribute: str = "loss_func.k",
        eval_value: int | None = None,
    ) -> None:
        self._ladder = KLadder(ladder, at, monitor, threshold, patience, mode)
        first, last = self._ladder.rungs[0], self._ladder.rungs[-1]
        super().__init__(attribute, last if eval_value is None else check_integer("eval_value", eval_value))
        is_of_loss = self.attribute == "loss_func.k"
        self._example = f"SmoothTopKSVMLoss(k={first})" if is_of_loss else str(first)

    def value_at(self, progress: float) -> int:
        """Return k at a progress of training in [0, 1]."""
        return self._ladder.value_at(progress)

    def before_train(self) -> None:
        """Decide on the k of this epoch."""
        super().before_train()
        if self._owner is None:
            return
        if self._ladder.monitor is None:
            self._rung = self._ladder.rung_at(self.learn.epoch / self.learn.n_epoch)
        else:
            self._climb(self._ladder.monitor)
        self._set(self._ladder.rungs[self._rung])

    def _begin(self) -> None:
        super()._begin()
        self._rung = self._reached = 0

    def _climb(self, monitor: str) -> None:
        recorder = getattr(self.learn, "recorder", None)
        names = [name for name in getattr(recorder, "metric_names", ())[1:] if name != "time"]
        if monitor not in names:
            wanted = f"be one of the recorded values ({', '.join(names) or 'none'})"
            raise CallbackError(must("monitor", wanted, repr(monitor), "Add the metric to the metrics of the Learner."))
        rows = getattr(recorder, "values", ())
        # No row before the first epoch, and a shorter one after an epoch that was skipped or cut short.
        if rows and len(rows[-1]) == len(names):
            ahead = self._ladder.ahead(torch.tensor(rows[-1][names.index(monitor)]))
            self._rung, self._reached = self._ladder.climb(self._rung, self._reached, ahead)
