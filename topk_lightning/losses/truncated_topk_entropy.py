"""Cross entropy that forgives the k − 1 strongest competitors of the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_temperature
from topk_lightning.class_shards import ClassShard
from topk_lightning.losses._base import ClassificationLoss, check_optional_k, loss_function, settle_k
from topk_lightning.losses._sharded import log_odds, strongest
from topk_lightning.losses._stable import LogOdds, softplus
from topk_lightning.ranking import topk_indices

__all__ = ["TruncatedTopKEntropyLoss", "truncated_topk_entropy_loss"]


class TruncatedTopKEntropyLoss(ClassificationLoss):
    r"""Cross entropy of the target against the competitors that could push it out of the top k.

    With s the logits, y the target, t the temperature and J the classes j ≠ y without the k − 1 largest of them,
    a row costs

    .. math:: t \log\Big(1 + \sum_{j \in J} e^{(s_j - s_y)/t}\Big) \in [0, \infty).

    k = 1 and t = 1 is cross entropy; t → 0 is max(0, s_{∖y,[k]} − s_y), with s_{∖y,[k]} the k-th largest competitor.
    Continuous, with kinks where the k-th competitor changes; not convex for k > 1. A target that fewer than k unmasked
    competitors stand against is in the top k whatever happens, and costs 0. Asking for a second derivative is an error.

    Args:
        k: how many guesses are allowed, 1 ≤ k ≤ C; None for the largest of 1, 3, 5 below C.
        temperature: t > 0, in units of the logits; larger is smoother.

    Examples:
        Target 2 has the competitors 9 and 0; with k = 2 the 9 is forgiven and the 0 ties with it: log 2.

        >>> import torch
        >>> loss = TruncatedTopKEntropyLoss(k=2)
        >>> loss(torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([2])).exp()
        tensor(2.)

    Source:
        Lapin, Hein, Schiele, CVPR 2016, arXiv:1512.00486, the truncated top-k entropy. The temperature is ours.
    """

    def __init__(
        self,
        k: int | None = None,
        *,
        temperature: float = 1.0,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_optional_k(k)
        self.temperature = check_temperature(temperature)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        k, temperature = settle_k(self.k, logits.shape[1]), check_temperature(self.temperature)
        target = target.unsqueeze(1)
        best = topk_indices(logits, k)
        # The k − 1 largest competitors: the top k without the target, or without the last where it is not among them.
        is_target = (best == target).long()
        forgiven = best.gather(1, torch.arange(k - 1, device=best.device) + is_target.cumsum(1)[:, : k - 1])
        target_logit = logits.detach().gather(1, target)
        odds = LogOdds.apply(
            logits, target, torch.ones_like(target_logit), forgiven, target_logit.squeeze(1), temperature
        )
        loss: Tensor = temperature * softplus(odds / temperature)
        # A NaN may stand among the forgiven; a broken model must show.
        broken = logits.detach().gather(1, best[:, :1]).squeeze(1).isnan()
        return loss.masked_fill(broken, torch.nan)

    def sharded_rows(self, shard: ClassShard, target: Tensor) -> Tensor:
        """Return the loss of each row where each process has the logits of some classes."""
        k, temperature = settle_k(self.k, shard.num_classes), check_temperature(self.temperature)
        forgiven, best = strongest(shard, target, k - 1)
        loss: Tensor = temperature * softplus(log_odds(shard, target, forgiven, temperature))
        return loss.masked_fill(best.isnan(), torch.nan)


truncated_topk_entropy_loss = loss_function(TruncatedTopKEntropyLoss)
