"""The order rule of the library: which classes stand ahead of which.

1. Higher score first; equal scores: lower class index first. So top-1 equals argmax, and an accuracy counts exactly the
   classes that :func:`topk_indices` would show.
2. ``ties="strict"`` puts the target behind all classes of its score, ``"optimistic"`` before them. ``"expected"``, the
   mean over random orders of the tied classes, is a credit, not a rank: see :class:`topk_lightning.TopKAccuracy`.
3. A NaN score of the target has rank C, a miss at every k, even k = C. A NaN elsewhere stands ahead of the target.
   Infinities are ordinary scores.

Nothing outside this file takes indices from ``topk``, ``argmax`` or ``sort``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError
from topk_lightning._checks.options import check_choice, check_k
from topk_lightning._checks.scores import check_labels, check_scores, check_target
from topk_lightning._topk_ways import best_of_rows

__all__ = ["TIES", "count_ahead", "count_ahead_and_tied", "in_topk", "target_rank", "topk_indices"]

TIES = ("index", "strict", "optimistic")

# Rows are compared block by block, so that a block and its comparison stay in cache; an accelerator takes larger
# blocks, which only bound its memory.
_CPU_BLOCK = 2**18
_DEVICE_BLOCK = 2**24
# Below this many elements one plain formula is faster than the blocks.
_SMALL = 4096


def topk_indices(preds: Tensor, k: int, *, class_dim: int = 1) -> Tensor:
    """Return the indices of the k best classes of each row, best first, by the order rule.

    Unlike ``torch.topk`` it says which of several equal scores comes first: the lower class index. NaN stands first,
    so that a broken model is seen.

    Shape:
        preds (N, C) or (N, C, d1, …) to (N, k) or (N, k, d1, …); with `class_dim`, the k stand where the C stood.

    Args:
        preds: real scores; only their order matters.
        k: how many classes, 1 ≤ k ≤ C.
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        Class indices, int64.

    Raises:
        TypeError: if `preds` are not real scores.
        ValueError: if k > C, or a shape is wrong.

    Examples:
        >>> topk_indices(torch.tensor([[0.1, 0.4, 0.4, 0.1]]), k=3)
        tensor([[1, 2, 0]])
    """
    dim = check_scores(preds, class_dim)
    k = check_k(k, preds.shape[dim])
    scores = preds.detach().movedim(dim, -1)
    return best_of_rows(scores, k).movedim(-1, dim)


def target_rank(preds: Tensor, target: Tensor, *, class_dim: int = 1, ties: str = "index") -> Tensor:
    """Return how many classes stand ahead of the target: 0 is the best rank, C the rank of a NaN score.

    Shape:
        preds (N, C) or (N, C, d1, …), target (N,) or (N, d1, …), to the shape of the target.

    Args:
        preds: real scores; only their order matters.
        target: class indices of any integer dtype.
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        ties: "index" (equal scores: lower class index first), "strict" (the target stands behind all its ties) or
            "optimistic" (before them).

    Returns:
        Ranks in [0, C], int64.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if shapes do not match or a label is out of range.

    Examples:
        >>> preds = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
        >>> target_rank(preds, torch.tensor([1, 2, 3]))
        tensor([0, 2, 3])
    """
    check_choice("ties", ties, TIES)
    dim = check_scores(preds, class_dim)
    if check_target(target, preds, dim):
        raise InvalidTypeError(
            "target must hold class indices of an integer dtype, got a float tensor of the shape of preds."
        )
    check_labels(target, preds.shape[dim])
    return count_ahead(preds, target, class_dim=dim, ties=ties)


def in_topk(preds: Tensor, target: Tensor, k: int, *, class_dim: int = 1, ties: str = "index") -> Tensor:
    """Return whether the target is among the k best classes of its row.

    Shape:
        preds (N, C) or (N, C, d1, …), target (N,) or (N, d1, …), to the shape of the target.

    Args:
        preds: real scores; only their order matters.
        target: class indices of any integer dtype.
        k: how many classes count as best, 1 ≤ k ≤ C.
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        ties: as in :func:`target_rank`.

    Returns:
        bool tensor of the shape of the target; a target whose score is NaN is a miss at every k.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, shapes do not match or a label is out of range.

    Examples:
        >>> preds = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
        >>> in_topk(preds, torch.tensor([1, 2, 3]), k=2)
        tensor([ True, False, False])
    """
    check_k(k, preds.shape[check_scores(preds, class_dim)])
    return target_rank(preds, target, class_dim=class_dim, ties=ties) < k


def count_ahead(
    preds: Tensor, target: Tensor, *, class_dim: int = 1, ties: str = "index", below: int | None = None
) -> Tensor:
    """Return how many classes stand ahead of the target: :func:`target_rank` without its checks.

    Args:
        preds: scores.
        target: class indices in [0, C).
        class_dim: the class dimension.
        ties: "index", "strict" or "optimistic".
        below: ranks from here on need not be told apart, so the index rule is left out for them.
    """
    if preds.numel() < _SMALL or torch.compiler.is_compiling():
        return _count_plainly(preds, target, class_dim, ties)
    ahead, tied = count_ahead_and_tied(preds, target, class_dim=class_dim, index_below=below if ties == "index" else 0)
    return ahead + (tied - 1).clamp(min=0) if ties == "strict" else ahead


def _count_plainly(preds: Tensor, target: Tensor, class_dim: int, ties: str) -> Tensor:
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


def count_ahead_and_tied(
    preds: Tensor, target: Tensor, *, class_dim: int = 1, index_below: int | None = 0
) -> tuple[Tensor, Tensor]:
    """Return how many classes stand ahead of the target, and how many have its score (itself included).

    The scores are read once, block by block: two counts a row, #(s ≤ s_y) and #(s < s_y), give
    #ahead = C − #(s ≤ s_y), in which NaN is ahead, and #tied = #(s ≤ s_y) − #(s < s_y).

    Args:
        preds: scores.
        target: class indices in [0, C).
        class_dim: the class dimension.
        index_below: tied classes of lower index count as ahead in the rows with fewer than this many classes of higher
            score (0: in none, None: in all).

    Returns:
        Two int64 tensors of the shape of the target. A NaN target has C classes ahead and 0 tied.
    """
    dim = class_dim % preds.ndim
    num_classes = preds.shape[dim]
    index_below = num_classes + 1 if index_below is None else index_below
    if preds.ndim == 2:
        return _count_rows(preds.detach(), target.long().unsqueeze(1), index_below)
    scores = preds.detach().movedim(dim, -1).flatten(1, -2)
    labels = target.long().reshape(scores.shape[:2])
    # Rows (N·D, C) come without a copy from (N, T, C); from (N, C, d1, …) a few n are copied at a time, or one n alone
    # is taken as it lies.
    step = len(scores) if scores.is_contiguous() else _block_size(scores) // max(1, scores[0].numel())
    parts = (torch.split(tensor, max(1, step)) for tensor in (scores, labels))
    counts = [
        _count_rows(part.reshape(-1, num_classes), label.reshape(-1, 1), index_below)
        for part, label in zip(*parts, strict=True)
    ]
    ahead, tied = (torch.cat(count).view(target.shape) for count in zip(*counts, strict=True))
    return ahead, tied


def _block_size(scores: Tensor) -> int:
    if scores.device.type != "cpu":
        return _DEVICE_BLOCK
    return _CPU_BLOCK if scores.itemsize == 4 else _CPU_BLOCK // 2  # the sum of a half-precision mask takes a copy


def _count_rows(scores: Tensor, label: Tensor, index_below: int) -> tuple[Tensor, Tensor]:
    """Count for scores (n, C) and label (n, 1), in blocks of rows.

    The blocks are compared into a mask of the scores' own dtype, whose making and sum are vectorised on a CPU; a bool
    mask costs about seven times as much. Whole numbers are exact in float32 up to 2^24.
    """
    num_rows, num_classes = scores.shape
    count_dtype = torch.float32 if num_classes <= 2**24 else torch.int64
    at_most, less = scores.new_empty(2, num_rows, dtype=count_dtype)
    own = scores.gather(1, label)
    size = max(1, _block_size(scores) // max(1, num_classes))
    buffer = scores.new_empty(min(size, num_rows), num_classes)
    for start in range(0, num_rows, size):
        part = slice(start, start + size)
        block, own_block = scores[part], own[part]
        mask = buffer[: len(block)]
        torch.sum(torch.le(block, own_block, out=mask), 1, dtype=count_dtype, out=at_most[part])
        torch.sum(torch.lt(block, own_block, out=mask), 1, dtype=count_dtype, out=less[part])
    ahead, tied = (num_classes - at_most).long(), (at_most - less).long()
    rows = ((tied > 1) & (ahead < index_below)).nonzero().squeeze(1)
    if len(rows):
        _add_ties_of_lower_index(ahead, scores, own, label, rows, buffer)
    return ahead, tied


def _add_ties_of_lower_index(
    ahead: Tensor, scores: Tensor, own: Tensor, label: Tensor, rows: Tensor, buffer: Tensor
) -> None:
    """Add to `ahead`, for these rows, the classes of lower index that have the target's score."""
    num_classes = scores.shape[1]
    index = torch.arange(num_classes, dtype=torch.float32 if num_classes <= 2**24 else torch.int64, device=label.device)
    for some in torch.split(rows, max(1, len(buffer) // 2)):
        lower = index.new_empty(len(some), num_classes)
        torch.lt(index, label[some].to(index.dtype), out=lower)
        same = torch.eq(scores.index_select(0, some), own[some], out=buffer[: len(some)])
        ahead[some] += lower.mul_(same).sum(1).long()
