"""Checks of class hierarchies: groups of classes, names, files that hold them, weights taken from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import reads_values
from topk_lightning._checks.options import check_integer

__all__ = [
    "check_groups",
    "check_same_number",
    "missing_classes",
    "no_folders",
    "nothing_fits",
    "two_groups",
    "unknown_file",
    "unreadable_checkpoint",
    "unreadable_row",
    "wrong_hierarchy",
]

_GROUPS = "fine_to_coarse"


def check_groups(fine_to_coarse: Sequence[int] | Tensor, num_groups: int | None = None) -> tuple[Tensor, int]:
    """Return the group index of each class (C,) as int64, and the number of groups G; each of 0, …, G − 1 occurs.

    With `num_groups` given, values are read only where that costs nothing (see `reads_values`).
    """
    if isinstance(fine_to_coarse, Tensor):
        groups = fine_to_coarse
    else:
        for group in fine_to_coarse:
            check_integer(f"each group of {_GROUPS}", group, minimum=0)
        groups = torch.as_tensor(list(fine_to_coarse), dtype=torch.int64)
    if groups.ndim != 1 or not len(groups):
        raise InvalidValueError(must(_GROUPS, "have shape (C,), one group index a class", tuple(groups.shape)))
    if groups.is_floating_point() or groups.is_complex() or groups.dtype == torch.bool:
        raise InvalidTypeError(must(_GROUPS, "hold group indices, integers", groups.dtype))
    groups = groups.long()
    if num_groups is not None and not reads_values(groups):
        return groups, num_groups
    if groups.min() < 0:
        raise InvalidValueError(must(_GROUPS, "hold group indices of at least 0", int(groups.min())))
    count = int(groups.max()) + 1 if num_groups is None else num_groups
    if groups.max() >= count:
        raise InvalidValueError(must(_GROUPS, f"hold group indices in [0, {count})", int(groups.max())))
    empty = (torch.bincount(groups, minlength=count) == 0).nonzero()
    if len(empty):
        remedy = "Number the groups from 0 without a gap."
        raise InvalidValueError(
            must(_GROUPS, f"give every group from 0 to {count - 1} a class", f"none for {empty[0].item()}", remedy)
        )
    return groups, count


def check_same_number(classes: int, logits_classes: int) -> None:
    """Raise where a hierarchy has another number of classes than the logits."""
    if classes != logits_classes:
        raise InvalidValueError(
            must(_GROUPS, f"name a group for each of the {logits_classes} classes of the logits", classes)
        )


def wrong_hierarchy(given: object) -> TypeError:
    """Return the error for anything that is not a hierarchy."""
    wanted = "be a list of group indices, a dict {class: group}, a csv file or a folder of folders"
    return InvalidTypeError(must(_GROUPS, wanted, type(given).__name__))


def missing_classes(names: Sequence[str], known: Sequence[object]) -> ValueError:
    """Return the error for classes that the hierarchy does not name."""
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    near = f"It names {', '.join(map(repr, known[:5])) or 'no class'}{' and more' if len(known) > 5 else ''}."
    return InvalidValueError(must(_GROUPS, "name a group for each class", f"none for {shown}", near))


def two_groups(name: str, groups: Collection[str]) -> ValueError:
    """Return the error for a class that stands in two groups."""
    return InvalidValueError(
        must(_GROUPS, f"put class {name!r} into one group", " and ".join(map(repr, sorted(groups))))
    )


def unknown_file(path: str) -> ValueError:
    """Return the error for a path that is neither a csv file nor a folder."""
    return InvalidValueError(must(_GROUPS, "be a csv file or a folder", repr(path)))


def unreadable_row(path: str, line: int, row: Sequence[str]) -> ValueError:
    """Return the error for a line of a csv file that does not name a class and its group."""
    remedy = "Write a line class,group for each class, or columns with the headings fine and coarse."
    return InvalidValueError(must(f"line {line} of {path}", "name a class and its group", repr(",".join(row)), remedy))


def no_folders(path: str) -> ValueError:
    """Return the error for a folder that does not hold groups of classes."""
    remedy = "The tree is root/group/class, such as root/terrier/boston."
    return InvalidValueError(
        must(_GROUPS, "hold folders of groups, which hold a folder for each class", repr(path), remedy)
    )


def unreadable_checkpoint(path: str) -> ValueError:
    """Return the error for a file without a state dict."""
    return InvalidValueError(must("coarse_checkpoint", "hold a state dict of tensors", repr(path)))


def nothing_fits(path: str, reasons: Mapping[str, str]) -> ValueError:
    """Return the error for a checkpoint of which nothing fits the fine model."""
    name, reason = next(iter(reasons.items()), ("nothing", "it is empty"))
    return InvalidValueError(
        must("coarse_checkpoint", "hold weights of the fine model", f"none in {path!r} ({name}: {reason})")
    )
