"""Minus the logarithm of the target's soft membership in the top k."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_temperature
from topk_lightning._checks.options import check_k
from topk_lightning._checks.relaxations import check_membership
from topk_lightning.losses._base import ClassificationLoss, reduce_rows
from topk_lightning.relaxations import Membership, laplace, logistic
from topk_lightning.relaxations.soft_topk_mask import log_membership

__all__ = ["SoftTopKLoss", "soft_topk_loss"]

# The curves whose logarithm is finite everywhere.
CURVES = {curve.name: curve for curve in (logistic, laplace)}


def soft_topk_loss(
    logits: Tensor,
    target: Tensor,
    k: int = 5,
    *,
    temperature: float = 1.0,
    membership: Membership | str = logistic,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    class_dim: int = 1,
) -> Tensor:
    r"""Return minus the logarithm of the target's share in the k places of the soft top k.

    With s the logits, y the target, t the temperature and F the membership, a row costs

    .. math:: -\log F\Big(\frac{s_y - v}{t}\Big), \qquad v \text{ such that } \sum_i F\Big(\frac{s_i - v}{t}\Big) = k.

    As t → 0, t · loss → max(0, (s_[k] + s_[k+1])/2 − s_y). Smooth for finite t, also where the target enters the top
    k. The gradient is −F′_y/(t·F_y) · (1_y − F′/ΣF′): it pulls the target up and pushes the classes near the threshold
    v down, each by its share of the slope. With at most k unmasked classes the loss is 0, except that a masked target
    costs +inf where k competitors are unmasked: with a finite gradient, also if they are exactly k.

    Shape:
        As :func:`torch.nn.functional.cross_entropy`: logits (N, C), (N, C, d1, …) or (C,), target (N,), (N, d1, …) or
        (), or a float target of the shape of the logits.

    Args:
        logits: unnormalised scores of a float dtype.
        target: class indices, or a distribution over classes.
        k: how many guesses are allowed, 1 ≤ k ≤ C.
        temperature: t > 0, in units of the logits; larger is smoother.
        membership: `topk_lightning.relaxations.logistic` or `laplace`, or the name of one. The sparse clipped line is
            refused: its logarithm is −∞ for most classes.
        weight: one weight ≥ 0 a class.
        ignore_index: class indices of this value count nothing.
        reduction: "mean" (divides by the weight of all rows), "sum" or "none".
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        The loss in [0, ∞), a scalar or one value a row.

    Raises:
        TypeError: if a type or dtype is wrong.
        ValueError: if k > C, or an option, a shape or a label is out of range.

    Examples:
        Four equal logits share two places, half a place each.

        >>> import torch
        >>> soft_topk_loss(torch.zeros(1, 4), torch.tensor([3]), k=2).neg().exp()
        tensor(0.5000)

    Source:
        Logistic: Amos, Koltun, Kolter, 2019, arXiv:1906.08707, the limited multi-label projection (and, up to the
        temperature, the entropic transport of Xie et al., NeurIPS 2020). Laplace: Struski et al., ICML 2025,
        arXiv:2503.06242. Both there by iteration or sorting; here the threshold needs the k + 1 (2k + 1) largest scores
        and sums over the others.
    """
    k, temperature = check_k(k), check_temperature(temperature)
    curve = check_membership(membership, CURVES)

    def rows(logits: Tensor, target: Tensor) -> Tensor:
        target = target.unsqueeze(1)
        if check_k(k, logits.shape[1]) == logits.shape[1]:
            own = logits.gather(1, target).squeeze(1)
            return torch.where(own.isnan(), own, 0)
        return 0 - log_membership(logits, target, k, temperature, curve).squeeze(1)

    return reduce_rows(
        rows, logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim
    )


class SoftTopKLoss(ClassificationLoss):
    """Apply :func:`soft_topk_loss`, which has the formula and the arguments.

    Examples:
        >>> import torch
        >>> loss = SoftTopKLoss(k=2, membership="laplace")
        >>> loss(torch.zeros(1, 4), torch.tensor([3])).neg().exp()
        tensor(0.5000)
    """

    options = ("k", "temperature", "membership")

    def __init__(
        self,
        k: int = 5,
        *,
        temperature: float = 1.0,
        membership: Membership | str = logistic,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_k(k)
        self.temperature = check_temperature(temperature)
        check_membership(membership, CURVES)
        self.membership = membership

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return soft_topk_loss(
            logits, target, self.k, temperature=self.temperature, membership=self.membership, **self.shared
        )
