"""Top-k accuracy where a row has several right classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.metric_as_loss import metric_as_loss, refuse_learner
from topk_lightning._checks.options import check_choice, check_k
from topk_lightning._checks.scores import check_scores, squeeze_remedy
from topk_lightning.metrics._counting import wide_dtype
from topk_lightning.metrics._exact import Amounts, ExactMetric
from topk_lightning.ranking import topk_indices

__all__ = ["MultilabelTopKAccuracy", "multilabel_topk_accuracy"]

CRITERIA = ("any", "all", "exact", "recall", "precision")


def multilabel_topk_accuracy(
    preds: Tensor,
    target: Tensor,
    k: int | None = None,
    criterion: str = "any",
    *,
    class_dim: int = 1,
    reduction: str | None = None,
) -> Tensor:
    """Return how well the k best classes of each row meet its right classes, averaged over rows that have some.

    Shape:
        preds and target (N, C) or (N, C, d1, …), to ().

    Args:
        preds: real scores; only their order matters (the order rule of :mod:`topk_lightning.ranking`).
        target: multi-hot, of any dtype: 1 for a right class, 0 for the others.
        k: how many classes count as best, 1 ≤ k ≤ C; None: the smaller of 5 and C.
        criterion: "any" (a right class is among the k best), "all" (all of them are), "exact" (the right classes and the
            k best are the same set), "recall" (the share of the right classes among the k best) or "precision" (the
            share of the k best that are right).
        class_dim: the class dimension.
        reduction: not for a metric; there to say so to code that takes it for a loss.

    Returns:
        A value in [0, 1], float32; NaN if no row has a right class. It has no gradient.

    Raises:
        TypeError: if a dtype is wrong, or the metric is used as a loss.
        ValueError: if k > C, shapes do not match or the target is not multi-hot.

    Examples:
        >>> preds = torch.tensor([[0.9, 0.5, 0.1], [0.1, 0.2, 0.7]])
        >>> target = torch.tensor([[1, 1, 0], [1, 0, 1]])
        >>> multilabel_topk_accuracy(preds, target, k=2, criterion="all")
        tensor(0.5000)
    """
    if reduction is not None:
        raise metric_as_loss("multilabel_topk_accuracy")
    refuse_learner("multilabel_topk_accuracy", as_metric=False)
    check_choice("criterion", criterion, CRITERIA)
    credit, rows = _credit_and_rows(preds, target, k, criterion, class_dim)
    return (credit / rows).float()


class MultilabelTopKAccuracy(ExactMetric):
    """Average, over batches and processes, how well the k best classes of a row meet its right classes.

    The function is :func:`multilabel_topk_accuracy`. Rows without a right class are skipped.

    Shape:
        ``update(preds, target)``: both (N, C) or (N, C, d1, …). ``compute()``: ().

    Args:
        k: how many classes count as best, 1 ≤ k ≤ C; None: the smaller of 5 and C.
        criterion: "any", "all", "exact", "recall" or "precision".
        class_dim: the class dimension.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument or a dtype is wrong.
        ValueError: if k > C, a shape is wrong or the target is not multi-hot.

    Examples:
        >>> metric = MultilabelTopKAccuracy(k=2, criterion="recall")
        >>> metric.update(torch.tensor([[0.9, 0.5, 0.1]]), torch.tensor([[1, 0, 1]]))
        >>> metric.compute()
        tensor(0.5000)
    """

    def __init__(self, k: int | None = None, criterion: str = "any", *, class_dim: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.k = None if k is None else check_k(k)
        self.criterion = check_choice("criterion", criterion, CRITERIA)
        self.class_dim = class_dim
        self.add_counts(
            {"k": self.k, "_": self.criterion, "dim": class_dim},
            credit=torch.zeros((), dtype=torch.float64),
            rows=torch.zeros((), dtype=torch.int64),
        )

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count one batch; zero rows change nothing."""
        self.add(self.count(preds, target))

    def compute(self) -> Tensor:
        """Return the average in [0, 1] over all rows with a right class, of all processes; NaN if there are none."""
        return self.value_of(self.states())

    def count(self, preds: Tensor, target: Tensor) -> Amounts:
        """Check a batch and return what it adds to the states."""
        credit, rows = _credit_and_rows(preds, target, self.k, self.criterion, self.class_dim)
        return {"credit": credit, "rows": rows}

    def value_of(self, states: Mapping[str, Tensor]) -> Tensor:
        """Return the value of such states."""
        return (states["credit"] / states["rows"]).float()


def _credit_and_rows(
    preds: Tensor, target: Tensor, k: int | None, criterion: str, class_dim: int
) -> tuple[Tensor, Tensor]:
    dim = check_scores(preds, class_dim)
    k = min(5, preds.shape[dim]) if k is None else check_k(k, preds.shape[dim])
    _check_multi_hot(target, preds)
    best = topk_indices(preds, k, class_dim=dim)
    positive = target.gather(dim, best) != 0
    # A NaN score stands among the best, where it is seen, but is never a hit.
    hits = (positive & ~preds.gather(dim, best).isnan()).sum(dim)
    wanted = (target != 0).sum(dim)
    if criterion == "recall":
        credit = hits / wanted.to(wide_dtype(preds.device))
    elif criterion == "precision":
        credit = hits / torch.tensor(k, dtype=wide_dtype(preds.device), device=preds.device)
    else:
        met = {"any": hits > 0, "all": hits == wanted, "exact": (hits == wanted) & (wanted == k)}[criterion]
        credit = met.to(wide_dtype(preds.device))
    counted = wanted > 0
    return credit.where(counted, 0).sum(), counted.sum()


def _check_multi_hot(target: object, preds: Tensor) -> None:
    """Check that `target` has the shape of `preds` and holds only 0 and 1."""
    if not isinstance(target, Tensor):
        raise InvalidTypeError(
            must("target", "be a torch.Tensor", type(target).__name__, "Convert it with torch.as_tensor.")
        )
    if target.shape != preds.shape:
        remedy = "For one class index a row use TopKAccuracy." if target.ndim == preds.ndim - 1 else ""
        remedy = squeeze_remedy("target", target, preds.shape) or squeeze_remedy("preds", preds, target.shape) or remedy
        raise InvalidValueError(
            must("target", f"have the shape of preds {tuple(preds.shape)}, multi-hot", tuple(target.shape), remedy)
        )
    if torch.compiler.is_compiling() or target.numel() == 0:
        return
    wrong = (target != 0) & (target != 1)
    if wrong.any():
        raise InvalidValueError(must("target", "be multi-hot (only 0 and 1)", f"{target[wrong][0].item():g}"))
