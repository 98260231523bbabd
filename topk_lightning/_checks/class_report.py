"""Checks of the class report: numbers of classes, names, tables that would be too large, reports without images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.classifier import check_class_names
from topk_lightning._checks.options import check_fraction

__all__ = [
    "check_accuracy",
    "check_names",
    "check_one_group_a_class",
    "count_of_scores",
    "needs_labels",
    "no_images",
    "too_wide",
    "unknown_cut",
]


def check_below_one(name: str, fraction: float) -> float:
    """Return a fraction in [0, 1)."""
    if check_fraction(name, fraction) == 1:
        raise InvalidValueError(must(name, "be below 1, which no interval lies above", fraction))
    return fraction


def check_names(names: Sequence[str] | Mapping[Any, Any] | None, num_classes: int) -> list[str]:
    """Return the name of each class; "class 0", "class 1", … where none are given."""
    if names is None:
        return [f"class {index}" for index in range(num_classes)]
    return check_class_names(names, num_classes)


def check_accuracy(name: str, accuracy: float | Tensor | None) -> float | None:
    """Return an accuracy in [0, 1], which may be a tensor of one element, as trainers keep it."""
    if accuracy is None:
        return None
    return check_fraction(name, accuracy.item() if isinstance(accuracy, Tensor) and accuracy.numel() == 1 else accuracy)


def check_one_group_a_class(groups: int, num_classes: int) -> None:
    """Check that there is a group for each class."""
    if groups != num_classes:
        raise InvalidValueError(must("groups", f"hold {num_classes} groups, one a class", groups))


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


def no_images() -> ValueError:
    """Return the error for a verdict on nothing."""
    return InvalidValueError(
        must("the report", "have seen at least one image", "none", "Call update, or look at the test set.")
    )
