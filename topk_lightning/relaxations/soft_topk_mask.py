"""The soft twin of "is class i among the k best?"."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.losses import refuse_second_derivative
from topk_lightning.relaxations._errors import check_relaxation_scores
from topk_lightning.relaxations.memberships import MEMBERSHIPS, Membership, check_membership, logistic
from topk_lightning.relaxations.rows import detached_under_no_grad, joined, row_blocks, small_dtype

__all__ = ["minus_log_membership", "soft_threshold", "soft_topk_mask"]


def soft_topk_mask(
    scores: Tensor, k: int, *, temperature: float = 1.0, membership: Membership | str = logistic
) -> Tensor:
    r"""Return how much each class belongs to the k best: a share in [0, 1] for each, k in all.

    With s the scores, t the temperature and F the membership,

    .. math:: m_i = F\Big(\frac{s_i - v}{t}\Big), \qquad v \text{ such that } \sum_i m_i = k.

    As t → 0 the k best get 1 and all others 0 (classes that tie for the last places share them); as t → ∞ all get k/C.
    Adding a constant to a row changes nothing. The threshold is exact: in closed form for Laplace and the clipped line,
    by Newton steps for the logistic, of which a fixed number provably suffices. The gradient is that of the exact
    solution, J = (1/t)(diag f − f fᵀ/Σf) with f = F′, whatever way the threshold was found.

    Shape:
        scores (…, C) to (…, C).

    Args:
        scores: scores of a float dtype, −∞ for a masked class. It gets 0; at most k unmasked classes all get 1.
        k: how many classes count as best, 1 ≤ k ≤ C.
        temperature: t > 0, in units of the scores; larger is smoother.
        membership: `logistic`, `laplace` or `clipped_line` (sparse: most shares are exactly 0 or 1), or its name.

    Returns:
        Shares in [0, 1], in float32 (float64 for float64 scores).

    Raises:
        TypeError: if a type or dtype is wrong.
        ValueError: if k > C or an option is out of range.

    Examples:
        Two places for four equal scores, then for a clear order.

        >>> soft_topk_mask(torch.zeros(4), k=2)
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
        >>> soft_topk_mask(torch.tensor([3.0, 1.0, 2.0, 0.0]), k=2, membership="clipped_line")
        tensor([1., 0., 1., 0.])

    Source:
        Logistic: Amos, Koltun, Kolter, 2019, arXiv:1906.08707; Xie et al., NeurIPS 2020, arXiv:2002.06504 (entropic
        transport, the same up to t). Laplace: Struski et al., ICML 2025, arXiv:2503.06242. Clipped line: Sander et al.,
        ICML 2023, arXiv:2302.01425, with p = 2.
    """
    curve = check_membership(membership, MEMBERSHIPS)
    rows, k, temperature = check_relaxation_scores(scores, k, temperature)
    masked = rows == -math.inf
    centre, u = soft_threshold(rows, k, temperature, curve)
    x = (rows.masked_fill(masked, 0) - centre) / temperature - u.to(rows.dtype)
    return curve(x).masked_fill(masked, 0).reshape(scores.shape)


def soft_threshold(rows: Tensor, k: int, temperature: float, membership: Membership) -> tuple[Tensor, Tensor]:
    """Return (c, u), (M, 1) each, such that Σ_i F((s_i − c)/t − u) = k in each row of (M, C).

    c = s_[k] counts as a constant; u carries the whole gradient, ∂u/∂s_i = F′_i/(t Σ_j F′_j), and is float64 (float32
    where the device has no more): kept as two numbers, the threshold v = c + t·u loses nothing to large scores. Rows
    with at most k unmasked classes have u = −∞, so all of them have mass 1; with fewer than k, c is −∞ too.
    """
    if k == rows.shape[1] or not rows.shape[0]:
        nothing = torch.full_like(rows[:, :1], -math.inf, dtype=small_dtype(rows))
        return rows.detach().amin(1, keepdim=True), nothing
    centre, u = _Threshold.apply(detached_under_no_grad(rows), k, temperature, membership)
    return centre, u


def minus_log_membership(rows: Tensor, column: Tensor, k: int, temperature: float, membership: Membership) -> Tensor:
    """Return −log F((s_c − v)/t) of one class c (M, 1) of each row, (M,); k < C. It has no second derivative.

    With at most k unmasked classes all of them have mass 1. If they are exactly k and c is not among them, its logarithm
    is −∞, with the gradient that it tends to as s_c → −∞: half of it lifts c, half lowers the worst of the k.
    """
    losses: Tensor = _MinusLogMembership.apply(detached_under_no_grad(rows), column, k, temperature, membership)
    return losses


class _Threshold(torch.autograd.Function):
    """The solution of a membership with, in the one tensor of the size of the rows that is kept, its derivative."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, k: int, temperature: float, membership: Membership) -> tuple[Tensor, Tensor]:
        gradient, centres, solutions = torch.empty_like(rows), [], []
        for scores, out in row_blocks(rows, gradient, width=2 * (k + 1)):
            its = membership.solve(scores, k, temperature, out)
            u, scale = its.u, torch.ones_like(its.u) / temperature
            if its.free is not None:
                u, scale = u.masked_fill(its.free, -math.inf), scale.masked_fill(its.free, 0)
            centres.append(its.centre)
            solutions.append(u)
            if ctx.needs_input_grad[0]:
                membership.shares(its, scale, out)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(gradient)
        centre = joined(centres)
        ctx.mark_non_differentiable(centre)
        return centre, joined(solutions)

    @staticmethod
    def backward(ctx: Any, _: Tensor, grad: Tensor) -> tuple[Tensor, None, None, None]:
        refuse_second_derivative()
        (gradient,) = ctx.saved_tensors
        return gradient * grad.to(gradient.dtype), None, None, None


class _MinusLogMembership(torch.autograd.Function):
    """The loss and, in the one tensor of the size of the rows that is kept, its gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, column: Tensor, k: int, temperature: float, membership: Membership) -> Tensor:
        gradient, losses = torch.empty_like(rows), []
        for scores, chosen, out in row_blocks(rows, column, gradient, width=2 * (k + 1)):
            its = membership.solve(scores, k, temperature, out)
            score = scores.gather(1, chosen).to(its.u.dtype)
            x, part = (score - its.centre).div_(temperature).sub_(its.u), None
            if its.free is not None:
                masked = score == -math.inf
                part = torch.where(its.free & masked, 0.5, 1.0)
                x = torch.where(its.free & masked, x / 2, x.masked_fill(its.free, math.inf))
                x = x.masked_fill(masked & (its.centre == -math.inf), math.inf)
            losses.append((0 - membership.log(x)).to(rows.dtype))
            if ctx.needs_input_grad[0]:
                slope = membership.log_slope(x).div_(temperature)
                slope = slope if part is None else slope * part
                membership.shares(its, slope, out)
                out.scatter_add_(1, chosen, slope.neg_().to(out.dtype))
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(gradient)
        return joined(losses).squeeze(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        refuse_second_derivative()
        (gradient,) = ctx.saved_tensors
        return gradient * grad.unsqueeze(1), None, None, None, None
