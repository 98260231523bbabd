"""Names of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = ["check_class_names"]


def check_class_names(names: Sequence[str] | Mapping[Any, Any], num_classes: int | None = None) -> list[str]:
    """Return class names as a list in the order of the class indices.

    Args:
        names: a list, {index: name} or {name: index} (torchvision's class_to_idx).
        num_classes: how many there must be.
    """
    wanted = "be a list of names, {index: name} or {name: index}"
    if isinstance(names, Mapping):
        by_index: dict[Any, Any] = dict(names)
        if by_index and all(isinstance(key, str) for key in by_index):
            by_index = {index: name for name, index in names.items()}
            repeated = [index for index, count in Counter(names.values()).items() if count > 1]
            if repeated:
                raise InvalidValueError(
                    must("class_names", "give each index to one name", f"index {repeated[0]} twice")
                )
        if not all(isinstance(key, int) and not isinstance(key, bool) for key in by_index):
            raise InvalidTypeError(must("class_names", wanted, repr(names)))
        missing = sorted(set(range(len(by_index))) - set(by_index))
        if missing:
            raise InvalidValueError(
                must("class_names", f"name every index from 0 to {len(by_index) - 1}", f"none for {missing[0]}")
            )
        names = [by_index[index] for index in range(len(by_index))]
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InvalidTypeError(must("class_names", wanted, type(names).__name__))
    for name in names:
        if not isinstance(name, str):
            raise InvalidTypeError(must("class_names", "hold texts", f"{name!r} of type {type(name).__name__}"))
    if num_classes is not None and len(names) != num_classes:
        raise InvalidValueError(must("class_names", f"hold {num_classes} names, one a class", len(names)))
    return list(names)
