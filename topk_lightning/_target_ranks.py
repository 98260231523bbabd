"""How many classes stand ahead of the target, the quickest way; only ranking.py uses it.

Rows are compared block by block, so that a block and its comparison stay in cache. On a CPU a block is compared into a
mask of the scores' own dtype, whose making and sum are vectorised; a bool mask costs about seven times as much. Whole
numbers are exact in float32 up to 2^24.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

__all__ = ["CPU_BLOCK", "count_plainly", "count_rows"]

# Scores in a block, at most; of few scores a twelfth, but no fewer than the second number.
CPU_BLOCK, _LEAST_BLOCK = 2**17, 2**16
# Up to so many scores are counted as they are, in one block.
_SMALL = 2**15
# Rows whose columns are counted at a time: with more, the columns of a block are too few for their sum.
_COLUMN_ROWS = 2**12
# Of up to so many classes those of lower index that tie are added up by a product with the matrix of that many classes, whose
# column j holds 1 for the classes before j.
_FEW = 16
_BEFORE = tuple(torch.ones(n, n, device="cpu").triu(1) for n in range(_FEW + 1))
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
    # Only a NaN target has no class that is at most the target, and it ties with none.
    index_rule, least = ties == "index", max(0, num_classes - below)
    if scores.numel() <= _SMALL and scores.is_contiguous():
        at_most, tied = _count_at_once(scores, label, index_rule, dtype)
        return torch.rsub(at_most, num_classes), tied
    target_score = scores.gather(1, label)
    if num_rows > 1 and num_classes > 1 and scores.stride(0) == 1:
        parts = zip(*(torch.split(of, _COLUMN_ROWS) for of in (scores, target_score, label)), strict=True)
        counts = [_count_columns(part, own, of, index_rule, least, dtype) for part, own, of in parts]
        at_most, tied = counts[0] if len(counts) == 1 else map(torch.cat, zip(*counts, strict=True))
    else:
        at_most, tied = _count_blocks(scores, target_score, label, index_rule, least, dtype)
    return torch.rsub(at_most, num_classes), tied


def _count_at_once(scores: Tensor, label: Tensor, index_rule: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Count few scores in as few operations as there can be, of which each costs more than the scores do."""
    if scores.itemsize < 4:  # of whose mask each sum would take a copy
        scores = scores.float()
    target_score, mask = scores.gather(1, label), torch.empty_like(scores)
    at_most = torch.sum(torch.le(scores, target_score, out=mask), 1, dtype=dtype)
    tied = torch.sum(torch.eq(scores, target_score, out=mask), 1, dtype=dtype)
    if index_rule and scores.shape[0] and tied.amax().item() > 1:
        if scores.shape[1] <= _FEW and scores.dtype == torch.float32:
            lower = torch.mm(mask, _BEFORE[scores.shape[1]]).gather(1, label).squeeze(1)
        else:
            lower = _lower_ties(mask, label)
        at_most = at_most.sub_(lower)
    return at_most, tied


def _count_blocks(
    scores: Tensor, target_score: Tensor, label: Tensor, index_rule: bool, least: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Count rows block by block: return how many are at most, and how many are, that of the target."""
    num_rows = scores.shape[0]
    at_most = torch.empty(num_rows, dtype=dtype)
    mask, tied, much_tied = None, None if index_rule else torch.empty_like(at_most), False
    for part, block in _blocks(scores):
        first, mask = mask is None, torch.empty_like(block) if mask is None else mask
        compared, own_block = mask[: block.shape[0]], target_score[part]
        torch.sum(torch.le(block, own_block, out=compared), 1, dtype=dtype, out=at_most[part])
        if first and index_rule:  # the first block says which way to go with all
            many_near = 4 * int((at_most[part] > least).sum()) >= block.shape[0]
            much_tied = many_near and _is_much_tied(block, own_block)
            tied = torch.empty_like(at_most) if many_near and not much_tied else None
        if tied is not None:  # while the block is in cache
            torch.sum(torch.eq(block, own_block, out=compared), 1, dtype=dtype, out=tied[part])
    del mask, compared, block  # what is settled now takes memory of its own
    if not index_rule:
        return at_most, cast(Tensor, tied)
    if much_tied:
        near = _settle_by_first(scores, target_score, label, at_most, least)
    else:
        is_near = at_most > least
        near = (is_near if tied is None else is_near.logical_and_(tied > 1)).nonzero().squeeze(1)
    _put_in_rows(near, scores, target_score, label, at_most)
    return at_most, at_most


def _count_columns(
    scores: Tensor, target_score: Tensor, label: Tensor, index_rule: bool, least: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Count scores whose columns lie side by side: return how many are at most, and how many are, that of the target."""
    num_rows, num_classes = scores.shape
    at_most, tied = torch.zeros(2, num_rows, dtype=dtype)
    size = max(1, _block_size(scores) // num_rows)
    mask = torch.empty(min(size, num_classes), num_rows, dtype=scores.dtype)
    columns, own_row = torch.split(scores.t(), size), target_score.t()
    for block in columns:
        at_most += torch.sum(torch.le(block, own_row, out=mask[: len(block)]), 0, dtype=dtype)
    if index_rule:
        near, before = (at_most > least).nonzero().squeeze(1), at_most
        if 4 * len(near) >= num_rows and num_classes > 4 * _FIRST:
            before = at_most.clone()
            near = _settle_by_first(scores, target_score, label, at_most, least)
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
    strided = num_classes > 1 and scores.stride(1) != 1
    size = max(1, _block_size(scores) // (2 if strided else 1) // max(1, num_classes))
    size = max(size, _STRIDED_ROWS) if strided else size
    if num_rows <= size:
        yield slice(None), scores.contiguous() if strided else scores
        return
    copy = torch.empty(size, num_classes, dtype=scores.dtype) if strided else None
    for start in range(0, num_rows, size):
        part = slice(start, start + size)
        block = scores[part]
        yield part, block if copy is None else copy[: len(block)].copy_(block)


def _block_size(scores: Tensor) -> int:
    """Return how many scores a block holds at most."""
    size = max(_LEAST_BLOCK, min(CPU_BLOCK, scores.numel() // 12))
    return size if scores.itemsize >= 4 else size // 3  # the sum of a half-precision mask takes a copy twice its size


def _is_much_tied(block: Tensor, target_score: Tensor) -> bool:
    """Return whether there are many ties of the targets among the first classes, of many."""
    if block.shape[1] <= 4 * _FIRST:
        return False
    return 2 * _first_same(block, target_score).sum(dtype=torch.float32).item() > 3 * block.shape[0]


def _first_same(scores: Tensor, target_score: Tensor) -> Tensor:
    """Return which of the first classes have the target's score, as 0 and 1."""
    first = scores[:, :_FIRST]
    return torch.eq(first, target_score, out=torch.empty(first.shape, dtype=scores.dtype))


def _put_in_rows(rows: Tensor, scores: Tensor, target_score: Tensor, label: Tensor, at_most: Tensor) -> None:
    """Take the classes of lower index with the target's score from `at_most` in these rows, some at a time."""
    size = max(1, _LEAST_BLOCK // (2 * scores.shape[1]))  # scores of two such blocks are held at once
    for some in torch.split(rows, size) if len(rows) else ():
        chosen = scores.index_select(0, some)
        same = torch.eq(chosen, target_score.index_select(0, some), out=chosen)
        tied = (torch.sum(same, 1, dtype=at_most.dtype) > 1).nonzero().squeeze(1)
        if len(tied):
            if len(tied) < len(some):
                same, some = same.index_select(0, tied), some.index_select(0, tied)
            at_most.index_add_(0, some, _lower_ties(same, label.index_select(0, some)), alpha=-1)


def _settle_by_first(scores: Tensor, target_score: Tensor, label: Tensor, at_most: Tensor, least: int) -> Tensor:
    """Look at the first classes alone, and return the rows for which they are not enough; the others are done.

    These are: no lower class than the first ones is left, or ties among them leave at most `least`.
    """
    step, unsettled = _LEAST_BLOCK // _FIRST, []
    for start in range(0, scores.shape[0], step):
        part = slice(start, start + step)
        before, label_part = at_most[part], label[part]
        left = before - _lower_ties(_first_same(scores[part], target_score[part]), label_part)
        is_open = (left > least).logical_and_(label_part.squeeze(1) > _FIRST)
        at_most[part] = torch.where(is_open, before, left)
        unsettled.append(is_open)
    return torch.cat(unsettled).nonzero().squeeze(1)


def _lower_ties(same: Tensor, label: Tensor) -> Tensor:
    """Return how many classes of lower index than the label (n, 1) are the `same`, 0 or 1 (n, f): (n,)."""
    is_exact = same.shape[1] <= 2**24
    index = torch.arange(same.shape[1], dtype=torch.float32 if is_exact else torch.int64)
    lower = torch.lt(index, label.float() if is_exact else label, out=torch.empty_like(same))
    return torch.sum(lower.mul_(same), 1, dtype=index.dtype)
