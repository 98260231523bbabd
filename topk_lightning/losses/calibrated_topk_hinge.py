"""The top-k hinge loss whose minimiser ranks the classes by their probability."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_at_least_zero
from topk_lightning._checks.options import check_k
from topk_lightning.losses._base import ClassificationLoss, reduce_rows
from topk_lightning.losses._stable import hinge
from topk_lightning.ranking import topk_indices

__all__ = ["CalibratedTopKHingeLoss", "calibrated_topk_hinge_loss"]


def calibrated_topk_hinge_loss(
    logits: Tensor,
    target: Tensor,
    k: int = 5,
    *,
    margin: float = 1.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    class_dim: int = 1,
) -> Tensor:
    r"""Return the hinge between the target and the best class outside the top k.

    With s the logits, y the target, a the margin and s_[k+1] the (k + 1)-th largest of all logits, a row costs

    .. math:: \max(0, a + s_{[k+1]} - s_y),

    and 0 at k = C. All classes are ranked, the target included: that makes the loss calibrated for the top-k error,
    and makes a target of rank exactly k + 1 cost a with no gradient. Two classes of a row feel it, the other
    C − 2 do not; see :func:`~topk_lightning.losses.noised_topk_hinge_loss` for the remedy.

    Shape:
        As :func:`torch.nn.functional.cross_entropy`: logits (N, C), (N, C, d1, …) or (C,), target (N,), (N, d1, …) or
        (), or a float target of the shape of the logits.

    Args:
        logits: unnormalised scores of a float dtype.
        target: class indices, or a distribution over classes.
        k: how many guesses are allowed, 1 ≤ k ≤ C.
        margin: a ≥ 0, in units of the logits.
        weight: one weight ≥ 0 a class.
        ignore_index: class indices of this value count nothing.
        reduction: "mean" (divides by the weight of all rows), "sum" or "none".
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        The loss in [0, ∞), a scalar or one value a row.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, or an option, a shape or a label is out of range.

    Examples:
        With k = 2 the third largest of 5, 4, 3 is 3: target 1 costs max(0, 1 + 3 − 4).

        >>> import torch
        >>> logits = torch.tensor([[5.0, 4.0, 3.0], [5.0, 3.5, 3.0]])
        >>> calibrated_topk_hinge_loss(logits, torch.tensor([1, 1]), k=2, reduction="none")
        tensor([0.0000, 0.5000])

    Source:
        Yang, Koyejo, ICML 2020, arXiv:1901.11141, "On the consistency of top-k surrogate losses", where the margin is 1.
    """
    margin = check_at_least_zero("margin", margin)
    check_k(k)

    def rows(logits: Tensor, target: Tensor) -> Tensor:
        check_k(k, logits.shape[1])
        own = logits.gather(1, target.unsqueeze(1)).squeeze(1)
        if k == logits.shape[1]:
            return torch.where(own.isnan(), own, 0)
        best = logits.gather(1, topk_indices(logits, k + 1))
        # A finite bar keeps the gap of a masked target at +inf where the bar is masked too.
        bar = best[:, k].clamp(min=torch.finfo(logits.dtype).min)
        return hinge(margin, bar - own, best[:, :k])

    return reduce_rows(
        rows, logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim
    )


class CalibratedTopKHingeLoss(ClassificationLoss):
    """Apply :func:`calibrated_topk_hinge_loss`, which has the formula and the arguments.

    Examples:
        >>> import torch
        >>> loss = CalibratedTopKHingeLoss(k=2)
        >>> loss(torch.tensor([[5.0, 3.5, 3.0]]), torch.tensor([1]))
        tensor(0.5000)
    """

    options = ("k", "margin")

    def __init__(
        self,
        k: int = 5,
        *,
        margin: float = 1.0,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_k(k)
        self.margin = check_at_least_zero("margin", margin)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return calibrated_topk_hinge_loss(logits, target, self.k, margin=self.margin, **self.shared)
