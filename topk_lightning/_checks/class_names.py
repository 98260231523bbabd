"""Checks of class names, which come as a list, as a mapping or from a JSON file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must, shown

__all__ = ["check_class_names", "check_different_names", "distinct_names"]

_WANTED = "be a list of names, {index: name} or {name: index}"


def check_class_names(names: Sequence[str] | Mapping[Any, Any], num_classes: int | None = None) -> list[str]:
    """Return class names as a list in the order of the class indices.

    Args:
        names: a list, {index: name} or {name: index} (torchvision's class_to_idx); an index may be a text of digits, as in
            JSON.
        num_classes: how many there must be.
    """
    if isinstance(names, Mapping):
        names = _in_order(names)
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InvalidTypeError(must("class_names", _WANTED, type(names).__name__))
    for name in list[Any](names):
        if not isinstance(name, str):
            actual = f"{shown(name)} of type {type(name).__name__}"
            remedy = ""
            if isinstance(name, Sequence) and name and all(isinstance(part, str) for part in name):
                remedy = f"Choose one text of each, such as {shown(name[-1])}."
            raise InvalidTypeError(must("class_names", "hold texts", actual, remedy))
    if num_classes is not None and len(names) != num_classes:
        raise InvalidValueError(must("class_names", f"hold {num_classes} names, one a class", len(names)))
    return list(names)


def check_different_names(names: Sequence[str]) -> Sequence[str]:
    """Return class names if no two classes have the same: for where classes are known by their names."""
    name, count = Counter(names).most_common(1)[0] if names else ("", 1)
    if count > 1:
        indices = [str(index) for index, other in enumerate(names) if other == name]
        actual = f"{shown(name)} for {' and '.join(indices[:2])}"
        raise InvalidValueError(must("class_names", "name each class differently", actual))
    return names


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return class names for people to tell apart: with the class index behind a name that several classes have.

    Examples:
        >>> distinct_names(["crane", "heron", "crane"])
        ['crane (0)', 'heron', 'crane (2)']
    """
    counts = Counter(names)
    return [f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(names)]


def _in_order(names: Mapping[Any, Any]) -> list[Any]:
    """Return the names of {index: name} or {name: index} by index, of which none may be missing or given twice."""
    by_name = bool(names) and all(_index_of(index) is not None for index in names.values())
    pairs = [(index, name) for name, index in names.items()] if by_name else list(names.items())
    by_index: dict[int, Any] = {}
    for key, name in pairs:
        index = _index_of(key, digits=not by_name)
        if index is None:
            raise InvalidTypeError(must("class_names", _WANTED, f"{shown(key)}: {shown(name)}"))
        if index in by_index:
            raise InvalidValueError(must("class_names", "give each index to one name", f"index {index} twice"))
        by_index[index] = name
    missing = set(range(len(by_index))) - set(by_index)
    if missing:
        requirement = f"name every index from 0 to {len(by_index) - 1}"
        raise InvalidValueError(must("class_names", requirement, f"none for {min(missing)}"))
    return [by_index[index] for index in range(len(by_index))]


def _index_of(key: Any, digits: bool = False) -> int | None:
    if digits and isinstance(key, str) and key.isascii() and key.isdigit():
        return int(key)
    return key if isinstance(key, int) and not isinstance(key, bool) else None
