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
from topk_lightning._target_ranks import CPU_BLOCK, count_plainly, count_rows
from topk_lightning._topk_ways import best_of_rows
from topk_lightning.class_shards import ClassShard, is_sharded

__all__ = ["TIES", "count_ahead", "count_ahead_and_tied", "in_topk", "target_rank", "topk_indices"]

#: What stands of equal scores: the lower class index first, or the target last or first.
TIES = ("index", "strict", "optimistic")


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
    if is_sharded(preds):
        return ClassShard.of(preds).best(k)
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
    if is_sharded(preds):
        higher, tied, lower = ClassShard.of(preds).count(target.long())
        if ties == "strict":
            return higher + (tied - 1).clamp(min=0)
        return higher + lower if ties == "index" else higher
    if torch.compiler.is_compiling():
        return count_plainly(preds, target, class_dim, ties)
    below = preds.shape[class_dim] + 1 if below is None else below
    ahead, tied = _count(preds, target, class_dim, ties, below)
    return ahead + (tied - 1).clamp(min=0) if ties == "strict" else ahead


def count_ahead_and_tied(preds: Tensor, target: Tensor, *, class_dim: int = 1) -> tuple[Tensor, Tensor]:
    """Return how many classes have a higher score than the target, and how many have its score (itself included).

    Args:
        preds: scores.
        target: class indices in [0, C).
        class_dim: the class dimension.

    Returns:
        Two int64 tensors of the shape of the target. A NaN target has C classes ahead and 0 tied.
    """
    if is_sharded(preds):
        return ClassShard.of(preds).count(target.long())[:2]
    return _count(preds, target, class_dim, "optimistic", 0)


def _count(preds: Tensor, target: Tensor, class_dim: int, ties: str, below: int) -> tuple[Tensor, Tensor]:
    """Return the classes ahead of the target and its ties, the latter not where ``ties="index"``."""
    if preds.device.type != "cpu":
        # The plain formula waits for no accelerator.
        ahead = count_plainly(preds, target, class_dim, ties)
        if ties == "index":
            return ahead, ahead
        scores, own = preds.detach(), preds.detach().gather(class_dim, target.long().unsqueeze(class_dim))
        return count_plainly(preds, target, class_dim, "optimistic"), (scores == own).sum(class_dim)
    label = target if target.dtype == torch.int64 else target.long()
    if preds.ndim == 2:
        ahead, tied = count_rows(preds.detach(), label.unsqueeze(1), ties, below)
        return ahead.long(), tied if ties == "index" else tied.long()
    num_classes = preds.shape[class_dim]
    scores = preds.detach().movedim(class_dim, -1).flatten(1, -2)
    labels = label.reshape(scores.shape[:2])
    if scores.is_contiguous():  # (N, T, C) are rows (N·T, C) as they lie
        ahead, tied = count_rows(scores.view(-1, num_classes), labels.reshape(-1, 1), ties, below)
        return ahead.long().view(target.shape), tied if ties == "index" else tied.long().view(target.shape)
    # Of (N, C, d1, …) a few n are copied at a time.
    step = max(1, CPU_BLOCK // max(1, scores[0].numel()))
    counts = [
        count_rows(part.reshape(-1, num_classes), of_part.reshape(-1, 1), ties, below)
        for part, of_part in zip(torch.split(scores, step), torch.split(labels, step), strict=True)
    ]
    ahead, tied = (torch.cat(count).long() for count in zip(*counts, strict=True))
    return ahead.view(target.shape), tied if ties == "index" else tied.view(target.shape)
