"""The soft twin of "is class i among the k best?"."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from topk_lightning._checks.losses import check_temperature
from topk_lightning._checks.options import check_k
from topk_lightning._checks.relaxations import check_member, check_scores_last
from topk_lightning.relaxations._rows import row_blocks
from topk_lightning.relaxations.memberships import MEMBERSHIPS, Membership, logistic

__all__ = ["soft_threshold", "soft_topk_mask"]


def soft_topk_mask(
    scores: Tensor, k: int, *, temperature: float = 1.0, membership: Membership | str = logistic
) -> Tensor:
    """Return the soft membership of each class in the k best: m in [0, 1] with Σ m = k."""
    membership = check_member("membership", membership, MEMBERSHIPS, Membership)
    temperature = check_temperature(temperature)
    scores = check_scores_last(scores)
    k = check_k(k, scores.shape[-1])
    rows = scores.reshape(-1, scores.shape[-1])
    masked = rows == -math.inf
    centre, u = soft_threshold(rows, k, temperature, membership)
    x = (rows.masked_fill(masked, 0) - centre) / temperature - u
    return membership(x).masked_fill(masked, 0).reshape(scores.shape)


def soft_threshold(rows: Tensor, k: int, temperature: float, membership: Membership) -> tuple[Tensor, Tensor]:
    """Return (c, u), (M, 1) each, such that Σ_i F((s_i − c)/t − u) = k in each row of (M, C).

    c is a score of the row and a constant; u carries the whole gradient, ∂u/∂s_i = F′_i/(t Σ_j F′_j). Rows with at
    most k unmasked classes have u = −∞, so all of them have mass 1.
    """
    if k == rows.shape[1]:
        return torch.zeros_like(rows[:, :1]), torch.full_like(rows[:, :1], -math.inf)
    centre, u = _Threshold.apply(rows, k, temperature, membership)
    return centre, u


class _Threshold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, k: int, temperature: float, membership: Membership) -> tuple[Tensor, Tensor]:
        parts = [_solve(rows[block], k, temperature, membership) for block in row_blocks(rows)]
        centre, u = (torch.cat(part) for part in zip(*parts, strict=True))
        ctx.save_for_backward(rows, centre, u)
        ctx.temperature, ctx.membership = temperature, membership
        ctx.mark_non_differentiable(centre)
        return centre, u

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, grad: Tensor) -> tuple[Tensor, None, None, None]:
        rows, centre, u = ctx.saved_tensors
        free = u == -math.inf
        u, scale = u.masked_fill(free, 0), (grad / ctx.temperature).masked_fill(free, 0)
        gradient = torch.empty_like(rows)
        for block in row_blocks(rows):
            x = torch.sub(rows[block], centre[block]).div_(ctx.temperature).sub_(u[block])
            torch.mul(ctx.membership.share(x), scale[block], out=gradient[block])
        return gradient, None, None, None


def _solve(rows: Tensor, k: int, temperature: float, membership: Membership) -> tuple[Tensor, Tensor]:
    centre, u = membership.solve(rows, k, temperature)
    few = (rows > -math.inf).sum(1, keepdim=True) <= k
    # torch.where, not arithmetic: the rows with few classes hold NaN here.
    return torch.where(few, 0, centre), torch.where(few, -math.inf, u).to(rows.dtype)
