"""The top-k hinge loss whose minimiser ranks the classes by their probability."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_at_least_zero, reads_values
from topk_lightning.losses._base import ClassificationLoss, check_optional_k, loss_function, settle_k
from topk_lightning.losses._stable import hinge
from topk_lightning.relaxations.rows import largest

__all__ = ["CalibratedTopKHingeLoss", "calibrated_topk_hinge_loss"]


class CalibratedTopKHingeLoss(ClassificationLoss):
    r"""Hinge between the target and the best class outside the top k.

    With s the logits, y the target, a the margin and s_[k+1] the (k + 1)-th largest of all logits, a row costs

    .. math:: \max(0, a + s_{[k+1]} - s_y) \in [0, \infty),

    and 0 at k = C. All classes are ranked, the target included: that makes the loss calibrated for the top-k error,
    and makes a target that alone has rank k + 1 cost a with no gradient. Where others tie with it, one of them is the
    bar, so the target is pulled. Two classes of a row feel it, the other C − 2 do not; see
    :class:`~topk_lightning.losses.NoisedTopKHingeLoss` for the remedy.

    Args:
        k: how many guesses are allowed, 1 ≤ k ≤ C; None for the largest of 1, 3, 5 below C.
        margin: a ≥ 0, in units of the logits.

    Examples:
        With k = 2 the third largest of 5, 4, 3 is 3: target 1 costs max(0, 1 + 3 − 4).

        >>> import torch
        >>> logits = torch.tensor([[5.0, 4.0, 3.0], [5.0, 3.5, 3.0]])
        >>> CalibratedTopKHingeLoss(k=2, reduction="none")(logits, torch.tensor([1, 1]))
        tensor([0.0000, 0.5000])

    Source:
        Yang, Koyejo, ICML 2020, arXiv:1901.11141, "On the consistency of top-k surrogate losses", where the margin is 1.
    """

    def __init__(
        self,
        k: int | None = None,
        *,
        margin: float = 1.0,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_optional_k(k)
        self.margin = check_at_least_zero("margin", margin)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        k, margin = settle_k(self.k, logits.shape[1]), check_at_least_zero("margin", self.margin)
        target = target.unsqueeze(1)
        if k == logits.shape[1]:
            target_logit = logits.gather(1, target).squeeze(1)
            return torch.where(target_logit.isnan(), target_logit, 0)
        best, bar = best_and_bar(logits.detach(), target, k)
        return hinge(margin, gap_to(bar, logits, target), best)


def best_and_bar(scores: Tensor, target: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best scores, (M, k), and which class is (k + 1)-th, (M, 1), for target (M, 1) and k < C.

    Where the target stands at rank k + 1 and another class ties with it, the other one is named; of equal others, any.
    """
    values, order = largest(scores, min(k + 2, scores.shape[1]))
    bar = order[:, k : k + 1]
    is_target = bar == target
    if not reads_values(scores) or is_target.any():
        for other in (k - 1, k + 1)[: order.shape[1] - k]:
            tied = values[:, other : other + 1] == values[:, k : k + 1]
            bar = torch.where(is_target & tied, order[:, other : other + 1], bar)
    return values[:, :k], bar


def gap_to(bar: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """Return how far the mean score of the classes `bar` (M, B) is above that of the target (M, 1), (M,)."""
    scores = logits.gather(1, torch.cat([bar, target], 1))
    # A finite bar keeps the gap of a masked target at +inf where the bar is masked too.
    reached = scores[:, :-1].clamp(min=torch.finfo(logits.dtype).min)
    return (reached.squeeze(1) if bar.shape[1] == 1 else reached.mean(1)) - scores[:, -1]


calibrated_topk_hinge_loss = loss_function(CalibratedTopKHingeLoss)
