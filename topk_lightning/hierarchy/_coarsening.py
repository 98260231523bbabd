"""Logits and targets of groups of classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import reads_values
from topk_lightning._checks.scores import check_labels, check_scores
from topk_lightning.hierarchy._groups import check_groups, check_same_number

__all__ = ["coarsen_logits", "coarsen_target"]


def coarsen_logits(
    logits: Tensor, fine_to_coarse: Sequence[int] | Tensor, num_groups: int | None = None, *, class_dim: int = 1
) -> Tensor:
    r"""Return the logits of groups of classes: the logsumexp over the classes of each group.

    .. math:: S_g = \log \sum_{c \in g} e^{s_c}

    Their softmax is the sum of the classes' probabilities, :math:`P(g) = \sum_{c \in g} p_c`: the same model, asked a
    coarser question. The gradient of :math:`S_g` is the softmax within the group.

    Shape:
        logits (N, C) or (N, C, d1, …), to (N, G) or (N, G, d1, …).

    Args:
        logits: unnormalised scores. Half precision is computed and returned in float32.
        fine_to_coarse: the group index of each class, (C,), groups numbered from 0 without a gap.
        num_groups: G; given, and with `fine_to_coarse` on the device of the logits, an accelerator need not wait.
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        Logits of the groups. A group of masked classes (−inf) is masked itself, with gradient 0; NaN stays NaN.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if `fine_to_coarse` leaves out a group, or has another number of classes than the logits.

    Examples:
        Two classes of probability 1/4 make a group of probability 1/2.

        >>> coarsen_logits(torch.zeros(1, 4), [0, 0, 1, 2]).softmax(1)
        tensor([[0.5000, 0.2500, 0.2500]])
    """
    dim = check_scores(logits, class_dim, "logits")
    groups, count = check_groups(fine_to_coarse, num_groups)
    check_same_number(len(groups), logits.shape[dim])
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits if logits.dtype == torch.float64 else logits.float()
        groups = groups.to(scores.device)
        shape = [*scores.shape[:dim], count, *scores.shape[dim + 1 :]]
        along = groups.view([-1 if d == dim else 1 for d in range(scores.ndim)]).expand_as(scores)
        best = scores.new_full(shape, -torch.inf).scatter_reduce(dim, along, scores.detach(), "amax")
        # Where all are masked, or one is +inf or NaN, there is no finite maximum to take out.
        best = torch.where(best.isfinite(), best, 0)
        total = scores.new_zeros(shape).index_add(dim, groups, (scores - best.index_select(dim, groups)).exp())
        masked = total == 0
        return torch.where(masked, -torch.inf, total.masked_fill(masked, 1).log() + best)


def coarsen_target(
    target: Tensor,
    fine_to_coarse: Sequence[int] | Tensor,
    num_groups: int | None = None,
    *,
    class_dim: int = 1,
    ignore_index: int | None = -100,
) -> Tensor:
    """Return the groups of class indices, or the distribution over groups of a distribution over classes.

    Shape:
        (N,) or (N, d1, …) of an integer dtype, to the same; a float (N, C) or (N, C, d1, …) to (N, G) or (N, G, d1, …).

    Args:
        target: class indices, or distributions over classes, whose mass in each group is summed.
        fine_to_coarse: the group index of each class, (C,), groups numbered from 0 without a gap.
        num_groups: G; given, and with `fine_to_coarse` on the device of the target, an accelerator need not wait.
        class_dim: the class dimension of distributions.
        ignore_index: class indices of this value stay as they are; None: there are none.

    Returns:
        int64 indices in [0, G), or a distribution of the dtype of `target`.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if a label is out of range, or `fine_to_coarse` leaves out a group.

    Examples:
        >>> coarsen_target(torch.tensor([0, 1, 3, -100]), [0, 0, 1, 2])
        tensor([   0,    0,    2, -100])
        >>> coarsen_target(torch.tensor([[0.5, 0.25, 0.25, 0.0]]), [0, 0, 1, 2])
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    groups, count = check_groups(fine_to_coarse, num_groups)
    groups = groups.to(target.device)
    if target.is_floating_point():
        dim = check_scores(target, class_dim, "target")
        check_same_number(len(groups), target.shape[dim])
        shape = [*target.shape[:dim], count, *target.shape[dim + 1 :]]
        return target.new_zeros(shape).index_add(dim, groups, target)
    ignored = torch.zeros_like(target, dtype=torch.bool) if ignore_index is None else target == ignore_index
    if reads_values(target):
        check_labels(target[~ignored], len(groups))
    coarse = groups[target.long().masked_fill(ignored, 0)]
    return coarse if ignore_index is None else coarse.masked_fill(ignored, ignore_index)
