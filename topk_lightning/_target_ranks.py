"""How many classes stand ahead of the target, the quickest way; only ranking.py uses it.

Rows are compared block by block, so that a block and its comparison stay in cache. On a CPU a block is compared into a
mask of the scores' own dtype, whose making and sum are vectorised; a bool mask costs about seven times as much. Whole
numbers are exact in float32 up to 2^24.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["CPU_BLOCK", "count_plainly", "count_rows"]

# Scores in a block, at most; of few scores a twelfth, but no fewer than the second number.
CPU_BLOCK, _LEAST_BLOCK = 2**17, 2**16
# Up to so many scores are counted as they are, in one block.
_SMALL = 2**14
# Where many rows tie, so many classes show most targets to be behind all ranks that are told apart.
_FIRST = 64
# Rows of a block at least, where the scores of a row do not lie side by side: what is read with them is not read again.
_STRIDED_ROWS = 16


def count_plainly(preds: Tensor, target: Tensor, class_dim: int, ties: str) -> Tensor:
    """Return how many classes stand ahead of the target, by one formula: the definition of the rest of this file."""
    dim = class_dim % preds.ndim
    scores, label = preds.detach(), target.long().unsqueeze(dim)
    target_score = scores.gather(dim, label)
    if ties == "strict":
        # Behind its ties, itself not counted; all comparisons with a NaN are false.
        return (scores.shape[dim] - (scores < target_score).sum(dim) - 1) + target_score.isnan().squeeze(dim)
    behind = scores <= target_score
    if ties == "index":
        index = torch.arange(scores.shape[dim], device=scores.device)
        index = index.view([-1 if d == dim else 1 for d in range(scores.ndim)])
        behind = torch.where(index < label, scores < target_score, behind)
    return scores.shape[dim] - behind.sum(dim)


def count_rows(scores: Tensor, label: Tensor, ties: str, below: int) -> tuple[Tensor, Tensor]:
    """Count for scores (n, C) and label (n, 1) on a CPU.

    Args:
        scores: the rows.
        label: their targets.
        ties: "index", or anything else for ranks that leave the ties of the target behind it.
        below: ranks from here on need not be told apart, so the index rule is left out for them.

    Returns:
        Classes ahead, and classes that have the target's score, itself included, in float32; with ``ties="index"`` an
        empty second count.
    """
    num_rows, num_classes = scores.shape
    dtype = torch.float32 if num_classes <= 2**24 else torch.int64
    is_small, index_rule = scores.numel() <= _SMALL and scores.is_contiguous(), ties == "index"
    if is_small and scores.itemsize < 4:  # of whose mask each sum would take a copy
        scores = scores.float()
    target_score = scores.gather(1, label)
    if is_small:
        mask = torch.empty_like(scores)
        at_most = torch.sum(torch.le(scores, target_score, out=mask), 1, dtype=dtype)
        tied = torch.sum(torch.eq(scores, target_score, out=mask), 1, dtype=dtype)
        if index_rule and num_rows and tied.amax().item() > 1:
            lower = torch.arange(num_classes) < label
            at_most = torch.sum(torch.where(lower, scores < target_score, scores <= target_score), 1, dtype=dtype)
    elif num_rows > 1 and num_classes > 1 and scores.stride(0) == 1:
        at_most, tied = _count_columns(scores, target_score, label, index_rule, below, dtype)
    else:
        at_most = torch.empty(num_rows, dtype=dtype)
        tied = torch.empty(0 if index_rule else num_rows, dtype=dtype)
        mask, least, many_near, much_tied = None, num_classes - below, True, False
        for part, block in _blocks(scores):
            first, mask = mask is None, torch.empty_like(block) if mask is None else mask
            compared, own_block = mask[: len(block)], target_score[part]
            torch.sum(torch.le(block, own_block, out=compared), 1, dtype=dtype, out=at_most[part])
            if not index_rule:
                torch.sum(torch.eq(block, own_block, out=compared), 1, dtype=dtype, out=tied[part])
                continue
            if first and len(block) < num_rows:  # the first block says which way to go with all
                many_near = 4 * int((at_most[part] > least).sum()) >= len(block)
                much_tied = many_near and _is_much_tied(block, own_block)
            if many_near and not much_tied:  # while the block is in cache
                _put_lower_indices_ahead(block, own_block, label[part], at_most[part], compared, least)
        if index_rule and (much_tied or not many_near):
            near = (at_most > least).nonzero().squeeze(1)
            if much_tied:
                parts = torch.split(near, _LEAST_BLOCK // _FIRST)
                near = torch.cat(
                    [_without_settled(scores, target_score, label, at_most, part, least) for part in parts]
                )
            _put_in_rows(near, scores, target_score, label, at_most)
    return num_classes - at_most, tied


def _count_columns(
    scores: Tensor, target_score: Tensor, label: Tensor, index_rule: bool, below: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Count scores whose columns lie side by side: return how many are at most, and how many are, that of the target."""
    num_rows, num_classes = scores.shape
    at_most, tied = torch.zeros(2, num_rows, dtype=dtype)
    size = max(1, CPU_BLOCK // num_rows)
    mask = torch.empty(min(size, num_classes), num_rows, dtype=scores.dtype)
    columns, own_row = torch.split(scores.t(), size), target_score.t()
    for block in columns:
        at_most += torch.sum(torch.le(block, own_row, out=mask[: len(block)]), 0, dtype=dtype)
    if index_rule:
        near, before = (at_most > num_classes - below).nonzero().squeeze(1), at_most
        if 4 * len(near) >= num_rows and num_classes > 4 * _FIRST:
            before = at_most.clone()
            near = _without_settled(scores, target_score, label, at_most, near, num_classes - below)
        if 4 * len(near) < num_rows:
            _put_in_rows(near, scores, target_score, label, at_most)
            return at_most, tied
        at_most = before
    index, label_row, start = torch.arange(num_classes, dtype=dtype).unsqueeze(1), label.t().to(dtype), 0
    for block in columns:
        same = torch.eq(block, own_row, out=mask[: len(block)])
        if index_rule:
            same.mul_(index[start : start + len(block)] < label_row)
            start += len(block)
        tied += torch.sum(same, 0, dtype=dtype)
    return (at_most - tied, tied) if index_rule else (at_most, tied)


def _blocks(scores: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows whose scores lie side by side, copied where they do not."""
    num_rows, num_classes = scores.shape
    # The sum of a half-precision mask takes a copy.
    block = max(_LEAST_BLOCK, min(CPU_BLOCK, scores.numel() // 12))
    size = max(1, (block if scores.itemsize >= 4 else block // 2) // max(1, num_classes))
    strided = num_classes > 1 and scores.stride(1) != 1
    size = max(size, _STRIDED_ROWS) if strided else size
    if num_rows <= size:
        yield slice(None), scores.contiguous() if strided else scores
        return
    for start in range(0, num_rows, size):
        part = slice(start, start + size)
        yield part, scores[part].contiguous() if strided else scores[part]


def _is_much_tied(block: Tensor, target_score: Tensor) -> bool:
    """Return whether most rows have ties of the target among the first classes, of many."""
    if block.shape[1] <= 4 * _FIRST:
        return False
    return 2 * int(((block[:, :_FIRST] == target_score).sum(1) > 1).sum()) > len(block)


def _put_lower_indices_ahead(
    block: Tensor, target_score: Tensor, label: Tensor, at_most: Tensor, mask: Tensor, least: int
) -> None:
    """Take the classes of lower index with the target's score from `at_most`, in rows in which it is above `least`."""
    near = (at_most > least).nonzero().squeeze(1)
    if 4 * len(near) < len(block):
        _put_in_rows(near, block, target_score, label, at_most)
        return
    same = torch.eq(block, target_score, out=mask)
    near = near[torch.sum(same, 1, dtype=at_most.dtype).index_select(0, near) > 1]
    if len(near):
        same = same if len(near) == len(block) else same.index_select(0, near)
        at_most.index_add_(0, near, _lower_ties(same, label.index_select(0, near)), alpha=-1)


def _put_in_rows(rows: Tensor, scores: Tensor, target_score: Tensor, label: Tensor, at_most: Tensor) -> None:
    """Take the classes of lower index with the target's score from `at_most` in these rows, some at a time."""
    for some in torch.split(rows, max(1, _LEAST_BLOCK // scores.shape[1])) if len(rows) else ():
        chosen = scores.index_select(0, some)
        same = torch.eq(chosen, target_score.index_select(0, some), out=chosen)
        tied = (torch.sum(same, 1, dtype=at_most.dtype) > 1).nonzero().squeeze(1)
        if len(tied):
            some = some[tied]
            at_most.index_add_(0, some, _lower_ties(same[tied], label.index_select(0, some)), alpha=-1)


def _without_settled(
    scores: Tensor, target_score: Tensor, label: Tensor, at_most: Tensor, near: Tensor, least: int
) -> Tensor:
    """Return the rows of `near` for which the scores of the first classes are not enough; the others are done.

    These are: no lower class than the first ones is left, or ties among them leave at most `least`.
    """
    labels, before = label.index_select(0, near), at_most.index_select(0, near)
    first = scores[:, :_FIRST].index_select(0, near)
    left = before - _lower_ties(torch.eq(first, target_score.index_select(0, near), out=first), labels)
    settled = (labels.squeeze(1) <= _FIRST) | (left <= least)
    at_most.index_copy_(0, near, torch.where(settled, left, before))
    return near[~settled]


def _lower_ties(same: Tensor, label: Tensor) -> Tensor:
    """Return how many classes of lower index than the label (n, 1) are the `same`, 0 or 1 (n, f): (n,)."""
    dtype = torch.float32 if same.shape[1] <= 2**24 else torch.int64
    lower = torch.empty(same.shape, dtype=dtype)
    torch.lt(torch.arange(same.shape[1], dtype=dtype), label.to(dtype), out=lower)
    return lower.mul_(same).sum(1)
