"""The largest scores of a row as differentiable numbers that do not depend on where a class stands."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.losses import reads_values, refuse_second_derivative
from topk_lightning.relaxations.rows import largest, row_blocks, small_dtype

__all__ = ["just_below", "ranked", "ranked_and_rest"]


def ranked(rows: Tensor, count: int) -> Tensor:
    """Return the `count` largest scores of each row of (M, C), falling, (M, count).

    Classes of equal score share their gradient equally, whichever of them stands in the result. All results are
    float64 (float32 where the device has no more): the few numbers of a row that decide the accuracy.
    """
    values: Tensor = _Ranked.apply(rows, None, count, None)[0]
    return values


def ranked_and_rest(
    rows: Tensor, column: Tensor | None, count: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return also log Σ exp((s_j − s_[count])/t) over all other classes, (M, 1), and the scores of `column`, (M, 1).

    The sum is −∞ where there are no others; without `column` its scores are those of the best class.
    """
    values, rest, chosen = _Ranked.apply(rows, column, count, temperature)
    return values, rest, chosen


class _Ranked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, column: Tensor | None, count: int, temperature: float | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        # One score more shows where classes inside tie with classes outside, another where `column` is one of them.
        size = min(count + 1, rows.shape[1])
        best, index = largest(rows, min(count + 1 + (column is not None), rows.shape[1]))
        small, chosen_score, behind = best.to(small_dtype(rows)), None, None
        if column is not None:
            small, index, chosen_score, behind = _behind_its_ties(rows, column, best, index, count)
        best, small, index = best[:, :size], small[:, :size], index[:, :count]
        values = small[:, :count]
        powers, total = rows.new_empty(0), torch.zeros_like(values[:, :1])
        rest = torch.full_like(total, -math.inf)
        if temperature is not None and count < rows.shape[1]:
            powers, reference = torch.empty_like(rows), _reference(best)
            for scores, highest, inside, out, its in row_blocks(rows, reference, index, powers, total):
                torch.sub(scores, highest, out=out).mul_(1 / temperature).exp_()
                its.copy_(out.scatter_(1, inside, 0).sum(1, keepdim=True))
            # The sum is relative to the largest score outside: it cannot underflow, unless nothing is there.
            empty = best[:, count:] == -math.inf
            total.masked_fill_(empty, 1)
            rest = torch.where(empty, -math.inf, total.log() + (small[:, count:] - values[:, -1:]) / temperature)
        chosen = values[:, :1].clone() if chosen_score is None else chosen_score
        ctx.save_for_backward(rows, column, behind, small, index, powers, total)
        ctx.temperature, ctx.count = temperature, count
        return values.clone(), rest, chosen

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, grad_rest: Tensor, grad_own: Tensor) -> tuple[Tensor, None, None, None]:
        refuse_second_derivative()
        rows, column, behind, best, index, powers, total = ctx.saved_tensors
        count = ctx.count
        values, following = best[:, :count], best[:, -1:]
        outside = torch.zeros_like(total)
        if powers.ndim == 1:
            gradient = torch.zeros_like(rows)
        else:
            scale = (grad_rest / ctx.temperature).masked_fill(following == -math.inf, 0)
            each = scale / total
            gradient = powers * each.to(rows.dtype)
            outside = torch.where(following == values[:, -1:], each, 0)
            # The derivative of log Σ exp((s_j − s_[count])/t) in s_[count].
            grad_values = torch.cat([grad_values[:, :-1], grad_values[:, -1:] - scale], 1)
        if reads_values(rows) and not (values[:, 1:] == values[:, :-1]).any():
            shared, number = grad_values, torch.ones_like(grad_values)
            leaders = shared
        else:
            same = values.unsqueeze(1) == values.unsqueeze(2)
            shared = torch.where(same, grad_values.unsqueeze(1), 0).sum(2)
            number = same.to(grad_values.dtype).sum(2)
            leaders = shared / number.clamp(min=1)
        if column is not None:
            # A leader's two parts may cancel, so they meet before they are rounded; tied ones are shared out below.
            meets = (index == column) & ((following != values[:, -1:]) | (count == rows.shape[1]))
            leaders = leaders + torch.where(meets, grad_own, 0)
            grad_own = grad_own.masked_fill(meets.any(1, keepdim=True), 0)
        gradient.scatter_(1, index, leaders.to(rows.dtype))
        if count < rows.shape[1]:
            _share_across_boundary(gradient, rows, values, following, shared, number, outside, column, behind)
        if column is not None:
            gradient.scatter_add_(1, column, grad_own.to(rows.dtype))
        return gradient, None, None, None


def just_below(scores: Tensor) -> Tensor:
    """Return finite scores one rounding lower.

    Sorted scores have a kink where two are equal. Its gradients on both sides differ, and their mean may be 0: then a
    network that begins with equal scores learns nothing. The gradient of a class just below its ties pulls it up. In
    float64 the step changes no value that anyone reads.
    """
    limits = torch.finfo(scores.dtype)
    lower = (scores - (scores.abs() * limits.eps).clamp(min=limits.tiny)).clamp(min=limits.min)
    return torch.where(scores.isfinite(), lower, scores)


def _behind_its_ties(
    rows: Tensor, column: Tensor, best: Tensor, index: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Let `column` be the last of the `best` that tie with it, and just below them if `count` of them hold a tie.

    Returns the scores and positions of `best`, the score of `column`, and where it is just below, (M, 1), or None for nowhere.
    """
    chosen_score = rows.gather(1, column)
    equal, here = best == chosen_score, index == column
    if reads_values(rows) and not (equal & ~here).any():
        return best.to(small_dtype(rows)), index, chosen_score.to(small_dtype(rows)), None
    # What stands last of the equal ones changes places with it.
    last = (equal * torch.arange(1, best.shape[1] + 1, device=rows.device)).argmax(1, keepdim=True)
    index = torch.where(here, index.gather(1, last), index)
    here = here.any(1, keepdim=True) & (torch.arange(best.shape[1], device=rows.device) == last)
    index = torch.where(here, column, index)
    behind = (equal & ~here)[:, :count].any(1, keepdim=True) & chosen_score.isfinite()
    small, chosen_score = best.to(small_dtype(rows)), chosen_score.to(small_dtype(rows))
    chosen_score = torch.where(behind, just_below(chosen_score), chosen_score)
    return torch.where(here, chosen_score, small), index, chosen_score, behind


def _reference(best: Tensor) -> Tensor:
    """Return the last of the scores (M, 1), or where that is −∞ (nothing is left outside) the first, or 0."""
    last, first = best[:, -1:], best[:, :1]
    last = torch.where(last == -math.inf, first, last)
    return last.masked_fill(last == -math.inf, 0)


def _share_across_boundary(
    gradient: Tensor,
    rows: Tensor,
    values: Tensor,
    following: Tensor,
    shared: Tensor,
    number: Tensor,
    outside: Tensor,
    column: Tensor | None,
    behind: Tensor | None,
) -> None:
    """Give the classes that tie with the last value one mean gradient, those inside and those outside, in place.

    Not to the class `column` where it stands `behind` them.
    """
    cut = (following == values[:, -1:]).squeeze(1)
    eager = rows.device.type == "cpu" and not torch.compiler.is_compiling()
    if eager and not cut.any():
        return
    part = cut.nonzero().squeeze(1) if eager else slice(None)
    last, slope = values[part, -1:], shared[part, -1:]
    if torch.compiler.is_compiling():
        # Waits for the gradient: else the graph compares in its forward pass, and keeps truth values, which a CPU's compiled
        # code stores and counts one by one.
        last = torch.where(slope == 0, last, last)
    tied = (rows[part] == last.to(rows.dtype)) & cut[part].unsqueeze(1)
    all_tied = tied.to(rows.dtype).sum(1, keepdim=True).to(number.dtype)
    of_part, inside, apart = gradient[part], number[part, -1:], None
    if column is not None and behind is not None:
        column = column[part]
        apart = tied.gather(1, column) & behind[part]
        all_tied = all_tied - apart.to(all_tied.dtype)
    mean = (slope + (all_tied - inside) * outside[part]) / all_tied.clamp(min=1)
    shares = torch.where(tied, mean.to(rows.dtype), of_part)
    if column is not None and apart is not None:
        shares.scatter_(1, column, torch.where(apart, of_part.gather(1, column), shares.gather(1, column)))
    gradient[part] = shares
