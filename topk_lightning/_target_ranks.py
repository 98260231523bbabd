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
    own = scores.gather(dim, label)
    if ties == "strict":
        # Behind its ties, itself not counted; all comparisons with a NaN are false.
        return (scores.shape[dim] - (scores < own).sum(dim) - 1) + own.isnan().squeeze(dim)
    behind = scores <= own
    if ties == "index":
        index = torch.arange(scores.shape[dim], device=scores.device)
        index = index.view([-1 if d == dim else 1 for d in range(scores.ndim)])
        behind = torch.where(index < label, scores < own, behind)
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
    own = scores.gather(1, label)
    index_rule = ties == "index"
    if scores.numel() <= _SMALL and scores.is_contiguous():
        at_most, tied = _count_block(scores, own, torch.empty_like(scores), dtype)
        if index_rule and num_rows and tied.amax().item() > 1:
            lower = torch.arange(num_classes) < label
            at_most = torch.sum(torch.where(lower, scores < own, scores <= own), 1, dtype=dtype)
    elif num_rows > 1 and scores.stride(0) == 1 and num_classes > 1:
        at_most, tied = _count_columns(scores.t(), own.t(), dtype)
        if index_rule:
            _put_lower_indices_ahead(scores, own, label, at_most, tied, below, None)
    else:
        at_most = torch.empty(num_rows, dtype=dtype)
        tied = torch.empty(0 if index_rule else num_rows, dtype=dtype)
        mask = None
        for part, block in _blocks(scores):
            mask = torch.empty_like(block) if mask is None else mask
            at_most[part], of_part = _count_block(block, own[part], mask[: len(block)], dtype)
            if index_rule:
                _put_lower_indices_ahead(block, own[part], label[part], at_most[part], of_part, below, mask)
            else:
                tied[part] = of_part
    return num_classes - at_most, tied


def _count_block(block: Tensor, own: Tensor, mask: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return how many scores of each row are at most that of the target, and how many are equal to it."""
    at_most = torch.sum(torch.le(block, own, out=mask), 1, dtype=dtype)
    return at_most, torch.sum(torch.eq(block, own, out=mask), 1, dtype=dtype)


def _count_columns(columns: Tensor, own: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the same for scores whose columns lie side by side: columns (C, n), own (1, n)."""
    at_most, tied = torch.zeros(2, columns.shape[1], dtype=dtype)
    size = max(1, CPU_BLOCK // columns.shape[1])
    mask = torch.empty(min(size, len(columns)), columns.shape[1], dtype=columns.dtype)
    for block in torch.split(columns, size):
        compared = mask[: len(block)]
        at_most += torch.sum(torch.le(block, own, out=compared), 0, dtype=dtype)
        tied += torch.sum(torch.eq(block, own, out=compared), 0, dtype=dtype)
    return at_most, tied


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
    scores: Tensor, own: Tensor, label: Tensor, at_most: Tensor, tied: Tensor, below: int, mask: Tensor | None
) -> None:
    """Take the classes of lower index with the target's score from `at_most`, in rows with fewer than `below` ahead.

    `mask` holds which scores are equal to that of the target, where that is known.
    """
    num_classes = scores.shape[1]
    rows = ((tied > 1) & (at_most > num_classes - below)).nonzero().squeeze(1)
    if not len(rows):
        return
    index = torch.arange(num_classes, dtype=at_most.dtype)
    step = max(1, min(len(rows), CPU_BLOCK // num_classes))
    lower = torch.empty(step, num_classes, dtype=at_most.dtype)
    for some in torch.split(rows, step):
        if mask is None:
            same = torch.eq(scores.index_select(0, some), own.index_select(0, some))
        else:
            same = mask[: len(scores)] if len(some) == len(scores) else mask.index_select(0, some)
        torch.lt(index, label.index_select(0, some).to(index.dtype), out=lower[: len(some)])
        at_most.index_add_(0, some, lower[: len(some)].mul_(same).sum(1), alpha=-1)
