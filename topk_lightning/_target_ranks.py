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

# Scores in a block.
CPU_BLOCK = 2**17
# Up to so many scores are counted as they are, in one block.
_SMALL = 2**14
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
    target_score = scores.gather(1, label)
    index_rule = ties == "index"
    if scores.numel() <= _SMALL and scores.is_contiguous():
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
        mask = None
        for part, block in _blocks(scores):
            mask = torch.empty_like(block) if mask is None else mask
            compared, own_block = mask[: len(block)], target_score[part]
            torch.sum(torch.le(block, own_block, out=compared), 1, dtype=dtype, out=at_most[part])
            if index_rule:
                _put_lower_indices_ahead(block, own_block, label[part], at_most[part], compared, below)
            else:
                torch.sum(torch.eq(block, own_block, out=compared), 1, dtype=dtype, out=tied[part])
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
    near = (at_most > num_classes - below).nonzero().squeeze(1) if index_rule else None
    if near is not None and 4 * len(near) < num_rows:
        if len(near):
            same = torch.eq(scores.index_select(0, near), target_score.index_select(0, near)).to(dtype)
            _take_lower(same, near, label, at_most)
        return at_most, tied
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
    size = max(1, (CPU_BLOCK if scores.itemsize >= 4 else CPU_BLOCK // 2) // max(1, num_classes))
    strided = num_classes > 1 and scores.stride(1) != 1
    size = max(size, _STRIDED_ROWS) if strided else size
    if num_rows <= size:
        yield slice(None), scores.contiguous() if strided else scores
        return
    for start in range(0, num_rows, size):
        part = slice(start, start + size)
        yield part, scores[part].contiguous() if strided else scores[part]


def _put_lower_indices_ahead(
    block: Tensor, target_score: Tensor, label: Tensor, at_most: Tensor, mask: Tensor, below: int
) -> None:
    """Take the classes of lower index with the target's score from `at_most`, in rows with fewer than `below` ahead."""
    num_rows, num_classes = block.shape
    rows = (at_most > num_classes - below).nonzero().squeeze(1)
    if not len(rows):
        return
    if 4 * len(rows) < num_rows:
        block, target_score = block.index_select(0, rows), target_score.index_select(0, rows)
    else:
        rows = torch.arange(num_rows)
    same = torch.eq(block, target_score, out=mask[: len(rows)])
    tied = torch.sum(same, 1, dtype=at_most.dtype) > 1
    if not tied.all():
        same, rows = same[tied], rows[tied]
    if len(rows):
        _take_lower(same, rows, label, at_most)


def _take_lower(same: Tensor, rows: Tensor, label: Tensor, at_most: Tensor) -> None:
    """Take from `at_most`, in these rows, the classes of lower index than the target that are the `same` (0 or 1)."""
    index = torch.arange(same.shape[1], dtype=at_most.dtype)
    lower = torch.empty(same.shape, dtype=at_most.dtype)
    torch.lt(index, label.index_select(0, rows).to(index.dtype), out=lower)
    at_most.index_add_(0, rows, lower.mul_(same).sum(1), alpha=-1)
