"""Which emoji and whose drawings of them: what the arguments of EmojiDataModule may name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_integer

__all__ = ["check_classes", "check_vendors"]


def check_classes(classes: object, entries: Sequence[Mapping[str, str]]) -> list[int]:
    """Return indices of the emoji that `classes` names: None, a number, or names of emoji, subcategories, categories."""
    everyone = range(len(entries))
    if classes is None:
        return list(everyone)
    if isinstance(classes, int):
        count = check_integer("classes", classes, minimum=2)
        if count > len(entries):
            raise InvalidValueError(must("classes", f"be at most {len(entries)}", count))
        return [index * len(entries) // count for index in range(count)]
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        raise InvalidTypeError(must("classes", "be a number or a list of names", repr(classes)))
    levels = ("name", "subcategory", "category")
    known = {entry[level] for entry in entries for level in levels}
    for name in classes:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else ""
            raise InvalidValueError(must("classes", "name emoji, subcategories or categories", repr(name), remedy))
    chosen = [index for index in everyone if any(entries[index][level] in classes for level in levels)]
    if len(chosen) < 2:
        raise InvalidValueError(must("classes", "name at least 2 emoji", len(chosen)))
    return chosen


def check_vendors(vendors: Mapping[str, Sequence[str]], known: Sequence[str], together: Sequence[str]) -> None:
    """Refuse unknown vendors, empty splits, a vendor in two splits, and sets of the same drawings in two splits."""
    for split, of_split in vendors.items():
        for vendor in of_split:
            check_choice(f"{split}_vendors", vendor, known)
        if not of_split:
            raise InvalidValueError(must(f"{split}_vendors", "name at least one vendor", "none"))
    splits: dict[str, list[str]] = {}
    for split, of_split in vendors.items():
        for vendor in of_split:
            splits.setdefault(vendor, []).append(split)
    for vendor, places in splits.items():
        if len(places) > 1:
            raise InvalidValueError(must(f"vendor {vendor!r}", "stand in one split", " and ".join(places)))
    if len({splits[vendor][0] for vendor in together if vendor in splits}) > 1:
        places = [f"{vendor} in {splits[vendor][0]}" for vendor in together]
        raise InvalidValueError(
            must(" and ".join(together), "stand in one split, being the same drawings", ", ".join(places))
        )
