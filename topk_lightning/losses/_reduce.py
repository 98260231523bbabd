"""What all losses share: shapes, dtypes, ignored rows, class weights, soft targets, reductions.

A loss file holds the mathematics of one row and nothing else: ``rows(logits (M, C), target (M,)) -> (M,)`` on float32 or
float64 logits and int64 targets in [0, C). :func:`reduce_rows` makes of it a drop-in for ``F.cross_entropy``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.losses import (
    check_class_weight,
    check_logits_and_target,
    check_reduction,
    check_rows,
    reads_values,
    refuse_second_derivative,
)
from topk_lightning.relaxations.rows import detached_under_no_grad

__all__ = ["Rows", "reduce_rows"]

Rows = Callable[[Tensor, Tensor], Tensor]

# Pairs (row, class) of soft targets are evaluated in blocks, so that a target without a zero costs time, not memory: of
# a third of the scores of the logits, but no fewer scores than this, which are soon done and small.
_PAIR_BLOCK = 2**16


def reduce_rows(
    rows: Rows,
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    class_dim: int = 1,
) -> Tensor:
    """Return the loss of a whole batch from the loss of one row.

    With q the target's distribution (one-hot for a class index) and w the class weights, a row costs
    Σ_c q_c w_c · rows(s, c); the mean divides by Σ q_c w_c over all rows. So a one-hot float target equals its integer
    target with and without weights (the mean of ``F.cross_entropy`` over soft targets divides by N instead).

    A soft target costs one evaluation for each of its non-zero classes. Inside ``torch.compile`` shapes must be
    static, so there it costs C: compile the network and leave the loss out where soft targets meet many classes.

    Shape:
        logits (N, C), (N, C, d1, …) or (C,); target (N,), (N, d1, …) or (), or a float target of the shape of the
        logits; to () for "mean" and "sum", to (N,), (N, d1, …) or () for "none".

    Args:
        rows: the loss of single rows; it sees float32 (for half precision) or float64 logits, outside autocast.
        logits: unnormalised scores of a float dtype.
        target: class indices, or a distribution over classes.
        weight: one weight ≥ 0 a class, (C,).
        ignore_index: class indices of this value count nothing; their logits may hold anything.
        reduction: "mean", "sum" or "none". The mean of no rows is NaN, their sum 0.
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        The loss in float32, or float64 for float64 logits.
    """
    check_reduction(reduction)
    single = isinstance(logits, Tensor) and logits.ndim == 1 and isinstance(target, Tensor)
    if single:
        logits, target, class_dim = logits.unsqueeze(0), target.unsqueeze(0), 1
    dim, soft = check_logits_and_target(logits, target, class_dim)
    # Subclasses of Tensor (fastai's images and labels) carry behaviour that must not reach the mathematics.
    logits, target = _plain(logits), _plain(target)
    shape = logits.shape[:dim] + logits.shape[dim + 1 :]
    num_classes = logits.shape[dim]
    if logits.ndim > 2:  # A view of (N, C) would make autograd copy its gradient.
        logits = logits.movedim(dim, -1).reshape(-1, num_classes)
    if logits.dtype != torch.float64:
        logits = logits.float()
    weight = check_class_weight(weight, num_classes, logits)
    with _without_autocast(logits.device.type):
        weights: Tensor | None
        if soft:
            target = target.movedim(dim, -1).reshape(-1, num_classes)
            check_rows(target, num_classes)
            losses, weights = _soft_rows(rows, logits, target.to(logits.dtype), weight)
        else:
            losses, weights = _hard_rows(rows, logits, target.reshape(-1).long(), weight, ignore_index)
        if reduction == "none":
            return losses.reshape(() if single else shape)
        if reduction == "sum":
            return losses.sum()
        return losses.mean() if weights is None else losses.sum() / weights.sum()


def _without_autocast(device_type: str) -> contextlib.AbstractContextManager[Any]:
    # Entering torch.autocast takes as long as ten small operations. Tensors without values know no autocast.
    if device_type != "meta" and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return contextlib.nullcontext()


def _plain(tensor: Tensor) -> Tensor:
    return tensor if type(tensor) is Tensor else tensor.as_subclass(Tensor)


def _evaluate(rows: Rows, logits: Tensor, target: Tensor) -> Tensor:
    return rows(logits, target) if logits.shape[0] else logits.sum(1)


def _scale(losses: Tensor, weights: Tensor) -> Tensor:
    # An infinite loss of weight 0 counts 0, not NaN, and passes no gradient on.
    return torch.where(weights > 0, losses, 0) * weights


def _hard_rows(
    rows: Rows, logits: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor | None]:
    """Return the weighted loss and the weight of each row for class indices (M,); None if each weight is 1."""
    if reads_values(target):
        kept = None
        if not _all_count(target, logits.shape[1], ignore_index):
            kept = (target != ignore_index).nonzero().squeeze(1)
            if len(kept) == len(target):
                check_rows(target, logits.shape[1])
                kept = None
        if kept is None:
            losses = _evaluate(rows, logits, target)
            if weight is None:
                return losses, None
            weights = weight[target]
            return _scale(losses, weights), weights
        losses, kept_weights = _hard_rows(rows, logits[kept], target[kept], weight, ignore_index)
        empty = logits.new_zeros(logits.shape[0])
        weights = torch.ones_like(losses) if kept_weights is None else kept_weights
        return empty.index_copy(0, kept, losses), empty.index_copy(0, kept, weights)
    # Without reading values: an ignored row becomes one of zeros, of class 0 and weight 0.
    ignored = target == ignore_index
    target = target.masked_fill(ignored, 0)
    weights = (logits.new_ones(logits.shape[1]) if weight is None else weight)[target].masked_fill(ignored, 0)
    return _scale(_evaluate(rows, logits.masked_fill(ignored.unsqueeze(1), 0), target), weights), weights


def _all_count(target: Tensor, num_classes: int, ignore_index: int) -> bool:
    """Return whether one look at labels (M,) shows that all are classes and none is ignored."""
    if not target.numel():
        return True
    low, high = (int(value) for value in target.aminmax())
    return low >= 0 and high < num_classes and not low <= ignore_index <= high


def _soft_rows(rows: Rows, logits: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the weighted loss and the weight of each row for distributions (M, C)."""
    weighted = target if weight is None else target * weight
    if not torch.compiler.is_compiling():
        return _ExpectedLoss.apply(detached_under_no_grad(logits), weighted, rows), weighted.sum(1)
    num_rows, num_classes = logits.shape
    every = torch.arange(num_classes, device=logits.device).repeat(num_rows)
    losses = _evaluate(rows, logits.repeat_interleave(num_classes, dim=0), every).reshape(num_rows, num_classes)
    return _scale(losses, weighted).sum(1), weighted.sum(1)


class _ExpectedLoss(torch.autograd.Function):
    """Σ_c q_c · rows(s, c) over the non-zero q_c.

    The gradient is made along with the value, block by block, so that memory stays that of a few blocks however many
    classes a target holds, and random losses draw once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, rows: Rows) -> Tensor:
        row, column = target.nonzero(as_tuple=True)
        shares = target[row, column]
        losses = logits.new_zeros(logits.shape[0])
        needs_grad = ctx.needs_input_grad[0]
        gradient = torch.zeros_like(logits) if needs_grad else None
        step = max(1, max(_PAIR_BLOCK, logits.numel() // 3) // logits.shape[1])
        for start in range(0, len(row), step):
            block = slice(start, start + step)
            with torch.set_grad_enabled(needs_grad):
                pairs = logits[row[block]].requires_grad_(needs_grad)
                loss = rows(pairs, column[block]) * shares[block]
                if gradient is not None:
                    gradient.index_add_(0, row[block], torch.autograd.grad(loss.sum(), pairs)[0])
            losses.index_add_(0, row[block], loss.detach())
        ctx.save_for_backward(*(() if gradient is None else (gradient,)))
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        refuse_second_derivative()
        (gradient,) = ctx.saved_tensors
        return gradient * grad.unsqueeze(1), None, None
