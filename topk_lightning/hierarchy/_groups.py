"""The group of each class: what numbers it may have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import reads_values
from topk_lightning._checks.options import check_integer

__all__ = ["GROUPS", "check_groups", "check_same_number"]

#: The argument that gives the groups, for errors.
GROUPS = "fine_to_coarse"


def check_groups(fine_to_coarse: Sequence[int] | Tensor, num_groups: int | None = None) -> tuple[Tensor, int]:
    """Return the group index of each class (C,) as int64, and the number of groups G; each of 0, …, G − 1 occurs.

    With `num_groups` given, values are read only where that costs nothing (see `reads_values`).
    """
    if isinstance(fine_to_coarse, Tensor):
        groups = fine_to_coarse
    else:
        for group in fine_to_coarse:
            check_integer(f"each group of {GROUPS}", group, minimum=0)
        groups = torch.as_tensor(list(fine_to_coarse), dtype=torch.int64)
    if groups.ndim != 1 or not len(groups):
        raise InvalidValueError(must(GROUPS, "have shape (C,), one group index a class", tuple(groups.shape)))
    if groups.is_floating_point() or groups.is_complex() or groups.dtype == torch.bool:
        raise InvalidTypeError(must(GROUPS, "hold group indices, integers", groups.dtype))
    groups = groups.long()
    if num_groups is not None and not reads_values(groups):
        return groups, num_groups
    if groups.min() < 0:
        raise InvalidValueError(must(GROUPS, "hold group indices of at least 0", int(groups.min())))
    count = int(groups.max()) + 1 if num_groups is None else num_groups
    if groups.max() >= count:
        raise InvalidValueError(must(GROUPS, f"hold group indices in [0, {count})", int(groups.max())))
    empty = (torch.bincount(groups, minlength=count) == 0).nonzero()
    if len(empty):
        remedy = "Number the groups from 0 without a gap."
        raise InvalidValueError(
            must(GROUPS, f"give every group from 0 to {count - 1} a class", f"none for {empty[0].item()}", remedy)
        )
    return groups, count


def check_same_number(classes: int, logits_classes: int) -> None:
    """Raise where a hierarchy has another number of classes than the logits."""
    if classes != logits_classes:
        raise InvalidValueError(
            must(GROUPS, f"name a group for each of the {logits_classes} classes of the logits", classes)
        )
