"""The largest scores of a row as differentiable numbers that do not depend on where a class stands."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.losses import refuse_second_derivative
from topk_lightning.relaxations._rows import largest, row_blocks

__all__ = ["ranked", "ranked_and_rest"]


def ranked(rows: Tensor, count: int) -> Tensor:
    """Return the `count` largest scores of each row of (M, C), falling, (M, count).

    Classes of equal score share their gradient equally, whichever of them stands in the result.
    """
    values: Tensor = _Ranked.apply(rows, count, None)[0]
    return values


def ranked_and_rest(rows: Tensor, count: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Return also log Σ exp((s_j − s_[count])/t) over all other classes, (M, 1): −∞ where there are none."""
    values, rest = _Ranked.apply(rows, count, temperature)
    return values, rest


class _Ranked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, count: int, temperature: float | None) -> tuple[Tensor, Tensor]:
        # One score more shows where classes inside tie with classes outside.
        best, index = largest(rows, min(count + 1, rows.shape[1]))
        values, index = best[:, :count], index[:, :count]
        rest, log_sum = torch.full_like(values[:, :1], -math.inf), torch.zeros_like(values[:, :1])
        if temperature is not None and count < rows.shape[1]:
            following = best[:, count:]
            reference = _reference(best)
            for block in row_blocks(rows):
                powers = torch.sub(rows[block], reference[block]).div_(temperature).exp_()
                torch.log(powers.scatter_(1, index[block], 0).sum(1, keepdim=True), out=log_sum[block])
            # The sum is told against the largest score outside: it cannot underflow, unless nothing is there.
            empty = following == -math.inf
            log_sum.masked_fill_(empty, 0)
            rest = torch.where(empty, -math.inf, log_sum + (following - values[:, -1:]) / temperature)
        ctx.save_for_backward(rows, best, index, log_sum)
        ctx.temperature, ctx.count = temperature, count
        return values.clone(), rest

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, grad_rest: Tensor) -> tuple[Tensor, None, None]:
        refuse_second_derivative()
        rows, best, index, log_sum = ctx.saved_tensors
        count = ctx.count
        values, following = best[:, :count], best[:, -1:]
        outside = torch.zeros_like(log_sum)
        if ctx.temperature is None or count == rows.shape[1]:
            gradient = torch.zeros_like(rows)
        else:
            gradient, reference = torch.empty_like(rows), _reference(best)
            scale = (grad_rest / ctx.temperature).masked_fill(following == -math.inf, 0)
            for block in row_blocks(rows):
                powers = torch.sub(rows[block], reference[block], out=gradient[block]).div_(ctx.temperature)
                powers.sub_(log_sum[block]).exp_().mul_(scale[block])
            outside = torch.where(following == values[:, -1:], scale * (-log_sum).exp(), 0)
            # The derivative of log Σ exp((s_j − s_[count])/t) in s_[count].
            grad_values = torch.cat([grad_values[:, :-1], grad_values[:, -1:] - scale], 1)
        same = (values.unsqueeze(1) == values.unsqueeze(2)).to(rows.dtype)
        shared = (same @ grad_values.unsqueeze(2)).squeeze(2)
        number = same.sum(2)
        gradient.scatter_(1, index, shared / number.clamp(min=1))
        if count < rows.shape[1]:
            _share_across_boundary(gradient, rows, values, following, shared, number, outside)
        return gradient, None, None


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
) -> None:
    """Give the classes that tie with the last value one mean gradient, those inside and those outside, in place."""
    cut = (following == values[:, -1:]).squeeze(1)
    eager = rows.device.type == "cpu" and not torch.compiler.is_compiling()
    if eager and not cut.any():
        return
    part = cut.nonzero().squeeze(1) if eager else slice(None)
    tied = (rows[part] == values[part, -1:]) & cut[part].unsqueeze(1)
    all_tied = tied.sum(1, keepdim=True).to(rows.dtype)
    inside = number[part, -1:]
    mean = (shared[part, -1:] + (all_tied - inside) * outside[part]) / all_tied.clamp(min=1)
    gradient[part] = torch.where(tied, mean, gradient[part])
