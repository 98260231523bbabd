"""Losses of scores whose classes are shared out among processes: a few numbers a row are sent, and no scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning._checks.losses import check_class_weight, check_reduction, refuse_second_derivative
from topk_lightning._checks.scores import check_labels
from topk_lightning.class_shards import ClassShard
from topk_lightning.ranking import topk_indices

__all__ = ["log_odds", "reduce_shard", "strongest"]


def reduce_shard(
    rows: Callable[[ClassShard, Tensor], Tensor],
    logits: Any,
    target: object,
    *,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """Return the loss of a batch, the same in each process, from the loss of one row.

    Shape:
        logits a DTensor (N, C), sharded by class; target (N,) of class indices, the same in each process.
    """
    check_reduction(reduction)
    if not isinstance(target, Tensor) or target.is_floating_point() or target.shape != logits.shape[:1]:
        actual = f"{target.dtype} of shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target)
        requirement = f"be class indices of shape ({len(logits)},) beside logits that are sharded by class"
        raise InvalidTypeError(must("target", requirement, actual))
    shard = ClassShard.of(logits if logits.dtype == torch.float64 else logits.float())
    kept = target.long() != ignore_index
    label = torch.where(kept, target.long(), 0)
    check_labels(label, shard.num_classes)
    weight = check_class_weight(weight, shard.num_classes, shard.scores)
    weights = kept.to(shard.scores.dtype) if weight is None else torch.where(kept, weight[label], 0)
    losses: Tensor = torch.where(weights > 0, rows(shard, label), 0) * weights
    if reduction == "none":
        return losses
    total: Tensor = losses.sum()
    return total if reduction == "sum" else total / weights.sum()


def strongest(shard: ClassShard, target: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest competitors of the target among all classes, (N, count), and the largest score, (N,)."""
    scores = shard.scores.detach()
    number = min(count + 1, scores.shape[1])
    best = topk_indices(scores, number) if number else scores.new_empty(len(scores), 0, dtype=torch.int64)
    values = scores.new_full((len(scores), count + 1), -torch.inf)
    values[:, :number] = scores.gather(1, best)
    classes = torch.full_like(values, shard.num_classes, dtype=torch.int64)
    classes[:, :number] = best + shard.first
    values, classes = shard.gathered(values), shard.gathered(classes)
    # Side by side they stand in the order of the classes wherever scores are equal.
    order = topk_indices(values, count + 1)
    classes = classes.gather(1, order)
    is_target = (classes == target.unsqueeze(1)).long()
    positions = torch.arange(count, device=order.device) + is_target.cumsum(1)[:, :count]
    return classes.gather(1, positions), values.gather(1, order[:, :1]).squeeze(1)


def log_odds(shard: ClassShard, target: Tensor, forgiven: Tensor, temperature: float) -> Tensor:
    """Return log Σ_j exp((s_j − s_y) / t) over all classes but the target (N,) and `forgiven` (N, q), (N,)."""
    odds: Tensor = _LogOdds.apply(shard.scores, shard, target, forgiven, temperature)
    return odds


class _LogOdds(torch.autograd.Function):
    """As `LogOdds` of `_stable`; each process has the gradient of its own classes."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, shard: ClassShard, target: Tensor, forgiven: Tensor, temperature: float
    ) -> Tensor:
        lowest = torch.finfo(scores.dtype)
        column, here = shard.places(torch.cat([target.unsqueeze(1), forgiven], 1))
        row, of_row = here.nonzero(as_tuple=True)
        e = scores.clone()
        e[row, column[row, of_row]] = -torch.inf
        top = e.amax(1) if e.shape[1] else e.new_full((len(e),), -torch.inf)
        top = shard.max(top.clamp(min=lowest.min))
        e.sub_(top.unsqueeze(1)).div_(temperature).exp_()
        total, target_term = shard.sum(torch.stack([e.sum(1), shard.own(target)]))
        ctx.save_for_backward(e, total, column[:, :1], here[:, :1])
        ctx.temperature = temperature
        value: Tensor = total.clamp(min=lowest.tiny).log() + (top - target_term) / temperature
        return value.masked_fill(total == 0, lowest.min)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        refuse_second_derivative()
        e, total, column, here = ctx.saved_tensors
        grad = (grad / ctx.temperature).masked_fill(total == 0, 0).unsqueeze(1)
        gradient = e * (grad / total.clamp(min=torch.finfo(e.dtype).tiny).unsqueeze(1))
        row = here.squeeze(1).nonzero().squeeze(1)
        gradient[row, column[row, 0]] = -grad[row, 0]
        return gradient, None, None, None, None
