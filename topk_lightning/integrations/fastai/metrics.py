"""Top-k accuracies for a Learner's `metrics`, exact over all rows."""

from __future__ import annotations

from typing import Any, NoReturn

import torchmetrics
from fastai.learner import Learner, Metric
from torch import Tensor

import topk_lightning.metrics as counting
from topk_lightning._checks.metric_as_loss import metric_as_loss

__all__ = ["MultilabelTopKAccuracy", "TopKAccuracy"]


class ExactMetric(Metric):
    """Count with a metric of the library: a sum over rows, where a mean of the batches' means would be off.

    Where fastai trains in several processes its loader hands over the rows of all of them, without the repeated ones
    that fill up the last batch, so the metric itself does not join anything.

    Args:
        metric: what counts.
        name: the column's name.
    """

    #: What MixUp asks of a loss: with it, a metric that was taken for one is called, and says so.
    y_int = True

    def __init__(self, metric: torchmetrics.Metric, name: str) -> None:
        self.metric = metric
        self._name = name

    def reset(self) -> None:
        """Forget what was counted."""
        self.metric.reset()

    def accumulate(self, learn: Learner) -> None:
        """Count one batch."""
        preds, target = (_plain(learn.to_detach(value, cpu=False)) for value in (learn.pred, learn.y))
        if self.metric.device != preds.device:
            self.metric.to(preds.device)
        self.metric.update(preds, target)

    @property
    def value(self) -> Tensor | None:
        """The accuracy of all that was counted; None before the first batch, as in fastai's own metrics."""
        return self.metric.compute() if self.metric.update_called else None

    @property
    def name(self) -> str:
        """The column's name, by which callbacks such as SaveModelCallback monitor it."""
        return self._name

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Say why a metric is no loss, to a Learner that got it as `loss_func`."""
        raise metric_as_loss(type(self).__name__)


class TopKAccuracy(ExactMetric):
    """Count how often the target is among the k best classes: :class:`topk_lightning.TopKAccuracy` for a Learner.

    Shape:
        pred (N, C) or (N, C, d1, …), target (N,) or (N, d1, …) of class indices, or float of the shape of pred, a
        distribution over classes.

    Args:
        k: how many classes count as best, 1 ≤ k ≤ C.
        num_classes: C; needed for every average but "micro".
        average: "micro", "macro" or "weighted".
        ignore_index: rows with this label are left out.
        ties: "index" (equal scores: lower class index first), "strict", "optimistic" or "expected".
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        name: the column's name; None: top and k, such as "top5", with the average unless it is "micro".

    Raises:
        TypeError: if an argument is of the wrong type, or the metric is used as a loss.
        ValueError: if an argument is out of range, or, when a batch is counted, a shape or a label is wrong.

    Examples:
        >>> TopKAccuracy(k=5).name, TopKAccuracy(k=3, average="macro", num_classes=9).name
        ('top5', 'top3_macro')
    """

    def __init__(
        self,
        k: int = 5,
        *,
        num_classes: int | None = None,
        average: str = "micro",
        ignore_index: int | None = None,
        ties: str = "index",
        class_dim: int = 1,
        name: str | None = None,
    ) -> None:
        metric = counting.TopKAccuracy(
            k,
            num_classes=num_classes,
            average=average,
            ignore_index=ignore_index,
            ties=ties,
            class_dim=class_dim,
            sync_on_compute=False,
        )
        super().__init__(metric, name or (f"top{k}" if average == "micro" else f"top{k}_{average}"))


class MultilabelTopKAccuracy(ExactMetric):
    """Average how well the k best classes meet the right ones: :class:`topk_lightning.MultilabelTopKAccuracy`.

    Shape:
        pred and target (N, C) or (N, C, d1, …), the target multi-hot, as of fastai's MultiCategoryBlock.

    Args:
        k: how many classes count as best, 1 ≤ k ≤ C.
        criterion: "any", "all", "exact", "recall" or "precision".
        class_dim: the class dimension.
        name: the column's name; None: top, k and the criterion, such as "top5_any".

    Raises:
        TypeError: if an argument is of the wrong type, or the metric is used as a loss.
        ValueError: if an argument is out of range, or, when a batch is counted, a shape or the target is wrong.

    Examples:
        >>> MultilabelTopKAccuracy(k=3, criterion="recall").name
        'top3_recall'
    """

    def __init__(self, k: int = 5, criterion: str = "any", *, class_dim: int = 1, name: str | None = None) -> None:
        metric = counting.MultilabelTopKAccuracy(k, criterion, class_dim=class_dim, sync_on_compute=False)
        super().__init__(metric, name or f"top{k}_{criterion}")


def _plain(value: Any) -> Any:
    """Return a tensor without fastai's subclass."""
    return value.as_subclass(Tensor) if isinstance(value, Tensor) else value
