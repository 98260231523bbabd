"""Cross entropy on the summed probability of the k best classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning.losses._base import ClassificationLoss, check_optional_k, loss_function, settle_k
from topk_lightning.losses._stable import LogOdds, softplus
from topk_lightning.ranking import topk_indices

__all__ = ["GroupedTopKCrossEntropyLoss", "grouped_topk_cross_entropy_loss"]


class GroupedTopKCrossEntropyLoss(ClassificationLoss):
    r"""Cross entropy in which the k best classes count as one where the target is among them.

    With p the softmax of the logits, y the target and T the k best classes by the order rule, a row costs

    .. math:: -\log \sum_{j \in T} p_j \text{ if } y \in T, \qquad -\log p_y \text{ otherwise, in } [0, \infty).

    k = 1 is cross entropy. The value jumps where y enters T: from −log p_y down to −log Σ_T p_j, by log k where the k
    classes are equal. Inside T nothing prefers y to its k − 1 companions. Prefer
    :class:`~topk_lightning.losses.TruncatedTopKEntropyLoss` or
    :class:`~topk_lightning.losses.SmoothTopKSVMLoss` where that matters. A target that fewer than k unmasked
    competitors stand against is in the top k whatever happens, and costs 0. Asking for a second derivative is an error.

    Args:
        k: how many guesses are allowed, 1 ≤ k ≤ C; None for the largest of 1, 3, 5 below C.

    Examples:
        Four equal classes, k = 2: the order rule puts 0 and 1 into the top 2, which hold probability 1/2; class 3 is
        outside and holds 1/4.

        >>> import torch
        >>> loss = GroupedTopKCrossEntropyLoss(k=2, reduction="none")
        >>> (-loss(torch.zeros(2, 4), torch.tensor([1, 3]))).exp()
        tensor([0.5000, 0.2500])

    Source:
        Sawada et al., 2020, arXiv:2007.15359.
    """

    def __init__(
        self,
        k: int | None = None,
        *,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_optional_k(k)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        target = target.unsqueeze(1)
        best = topk_indices(logits, settle_k(self.k, logits.shape[1]))
        scores = logits.detach()
        best_scores = scores.gather(1, best)
        # With fewer than k unmasked classes beside it, y belongs to T even where it is masked itself.
        inside = (best == target).any(1, keepdim=True) | (best_scores[:, -1:] == -torch.inf)
        reference = best_scores[:, :1].clamp(min=torch.finfo(logits.dtype).min)
        # What the group's score is above the best one, and its derivatives; outside T the group is y, k times named.
        # A row that is all masked has a group of equal classes and no others, so it costs 0.
        within = (best_scores - reference).masked_fill(best_scores[:, :1] == -torch.inf, 0)
        target_share = torch.where(
            inside, within.logsumexp(1, keepdim=True), scores.gather(1, target) - reference
        ).squeeze(1)
        shares = torch.where(inside, within.softmax(1), 1)
        group = torch.where(inside, best, target)
        # −log of the group's share as log(1 + others / group): exact also where it is almost 0.
        return softplus(LogOdds.apply(logits, group, shares, best[:, :0], reference.squeeze(1), 1.0) - target_share)


grouped_topk_cross_entropy_loss = loss_function(GroupedTopKCrossEntropyLoss)
