"""Minus the logarithm of the target's soft membership in the top k."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_temperature
from topk_lightning.losses._base import ClassificationLoss, check_optional_k, loss_function, settle_k
from topk_lightning.relaxations import Membership, check_membership, laplace, logistic
from topk_lightning.relaxations.soft_topk_mask import minus_log_membership

__all__ = ["SoftTopKLoss", "soft_topk_loss"]

# The curves whose logarithm is finite everywhere.
CURVES = {curve.name: curve for curve in (logistic, laplace)}


class SoftTopKLoss(ClassificationLoss):
    r"""Minus the logarithm of the target's share in the k places of the soft top k.

    With s the logits, y the target, t the temperature and F the membership, a row costs

    .. math:: -\log F\Big(\frac{s_y - v}{t}\Big) \in [0, \infty), \qquad
              v \text{ such that } \sum_i F\Big(\frac{s_i - v}{t}\Big) = k.

    As t → 0, t · loss → max(0, (s_[k] + s_[k+1])/2 − s_y). Smooth for finite t, also where the target enters the top
    k. The gradient is −F′_y/(t·F_y) · (1_y − F′/ΣF′): it pulls the target up and pushes the classes near the threshold
    v down, each by its share of the slope. With at most k unmasked classes the loss is 0, except that a masked target
    costs +inf where k competitors are unmasked: with a finite gradient, also if they are exactly k.

    Args:
        k: how many guesses are allowed, 1 ≤ k ≤ C; None for the largest of 1, 3, 5 below C.
        temperature: t > 0, in units of the logits; larger is smoother.
        membership: `topk_lightning.relaxations.logistic` or `laplace`, or the name of one. The sparse clipped line is
            refused: its logarithm is −∞ for most classes.

    Examples:
        Four equal logits share two places, half a place each.

        >>> import torch
        >>> loss = SoftTopKLoss(k=2, membership="laplace")
        >>> loss(torch.zeros(1, 4), torch.tensor([3])).neg().exp()
        tensor(0.5000)

    Source:
        Logistic: Amos, Koltun, Kolter, 2019, arXiv:1906.08707, the limited multi-label projection (and, up to the
        temperature, the entropic transport of Xie et al., NeurIPS 2020). Laplace: Struski et al., ICML 2025,
        arXiv:2503.06242. Both there by iteration or sorting; here the threshold needs the k + 1 (2k + 1) largest scores
        and sums over the others.
    """

    def __init__(
        self,
        k: int | None = None,
        *,
        temperature: float = 1.0,
        membership: Membership | str = logistic,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_optional_k(k)
        self.temperature = check_temperature(temperature)
        check_membership(membership, CURVES)
        self.membership = membership

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        k, temperature = settle_k(self.k, logits.shape[1]), check_temperature(self.temperature)
        curve = check_membership(self.membership, CURVES)
        target = target.unsqueeze(1)
        if k == logits.shape[1]:
            target_logit = logits.gather(1, target).squeeze(1)
            return torch.where(target_logit.isnan(), target_logit, 0)
        return minus_log_membership(logits, target, k, temperature, curve)


soft_topk_loss = loss_function(SoftTopKLoss)
