"""Checks of the class report: numbers of classes, names and tables that would be too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.class_names import check_class_names

__all__ = [
    "check_names",
    "count_of_scores",
    "needs_labels",
    "too_wide",
    "unknown_cut",
]


def check_names(names: Sequence[str] | Mapping[Any, Any] | None, num_classes: int) -> list[str]:
    """Return the name of each class; "class 0", "class 1", … where none are given."""
    if names is None:
        return [f"class {index}" for index in range(num_classes)]
    return check_class_names(names, num_classes)


def count_of_scores(num_classes: int, found: int) -> ValueError:
    """Return the error for scores of another number of classes."""
    return InvalidValueError(must("preds", f"hold the scores of {num_classes} classes (num_classes)", found))


def needs_labels() -> TypeError:
    """Return the error for soft targets, which belong to no single class."""
    remedy = "For a distribution over classes use TopKAccuracy."
    return InvalidTypeError(must("target", "hold class indices", "a float tensor of the shape of preds", remedy))


def too_wide(num_classes: int, limit: int) -> ValueError:
    """Return the error for a table C × C of very many classes."""
    remedy = "Use confusions(), which lists the pairs that occur."
    return InvalidValueError(must("num_classes", f"be at most {limit} for a table of all pairs", num_classes, remedy))


def unknown_cut(k: int, ks: Sequence[int]) -> ValueError:
    """Return the error for a k that was not counted class by class."""
    return InvalidValueError(must("k", f"be one of {', '.join(map(str, ks))}, which the report was made for", k))
