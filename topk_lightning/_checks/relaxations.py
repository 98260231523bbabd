"""Checks of relaxations and of the losses made of them: scores with their classes last, curves, candidates."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import check_temperature
from topk_lightning._checks.options import check_integer, check_k, check_number

__all__ = [
    "check_column",
    "check_k_probabilities",
    "check_membership",
    "check_num_candidates",
    "check_relaxation",
    "check_relaxation_scores",
]

T = TypeVar("T")


def check_relaxation_scores(scores: object, k: int, temperature: float) -> tuple[Tensor, int, float]:
    """Return float `scores` (…, C) as float32 or float64 rows (M, C), k with 1 ≤ k ≤ C and a temperature above 0."""
    if not isinstance(scores, Tensor):
        raise InvalidTypeError(
            must("scores", "be a torch.Tensor", type(scores).__name__, "Convert it with torch.as_tensor.")
        )
    if not scores.is_floating_point():
        raise InvalidTypeError(must("scores", "be of a float dtype", scores.dtype, "Did you mean scores.float()?"))
    if scores.ndim == 0:
        raise InvalidValueError(must("scores", "have shape (…, C)", "()"))
    num_classes = scores.shape[-1]
    k = check_k(k, num_classes)
    rows = scores if scores.dtype == torch.float64 else scores.float()
    return rows.reshape(-1, num_classes), k, check_temperature(temperature)


def check_column(column: object, scores: Tensor) -> Tensor | None:
    """Return the class indices `column` of the shape of `scores` without its classes as int64 (M, 1), or None."""
    if column is None:
        return None
    if not isinstance(column, Tensor):
        raise InvalidTypeError(must("column", "be a torch.Tensor or None", type(column).__name__))
    if column.is_floating_point() or column.is_complex() or column.dtype == torch.bool:
        raise InvalidTypeError(must("column", "be of an integer dtype", column.dtype))
    if column.shape != scores.shape[:-1]:
        requirement = f"have shape {tuple(scores.shape[:-1])} to match scores of shape {tuple(scores.shape)}"
        raise InvalidValueError(must("column", requirement, tuple(column.shape)))
    return column.long().reshape(-1, 1)


def check_membership(membership: T | str, known: Mapping[str, T]) -> T:
    """Return the membership that is given or named, one of `known`."""
    if isinstance(membership, str):
        if membership in known:
            return known[membership]
    elif any(membership is one for one in known.values()):
        return membership
    raise InvalidValueError(must("membership", "be one of " + ", ".join(known), repr(membership)))


def check_relaxation(
    relaxation: Callable[..., Tensor] | str, known: Mapping[str, Callable[..., Tensor]]
) -> Callable[..., Tensor]:
    """Return the function that `relaxation` is or names: one of `known`, or a dotted path as a yaml file holds it."""
    if not isinstance(relaxation, str):
        if not callable(relaxation):
            raise InvalidTypeError(must("relaxation", "be a function or the name of one", repr(relaxation)))
        return relaxation
    name = relaxation.rpartition(".")[2] if relaxation.startswith("topk_lightning.relaxations.") else relaxation
    found = known.get(name) or _function_at(relaxation)
    if found is None:
        raise InvalidValueError(must("relaxation", "be a function or one of " + ", ".join(known), repr(relaxation)))
    return found


def _function_at(path: str) -> Callable[..., Tensor] | None:
    """Return the function at a dotted path, ``package.module.function``, or None."""
    try:
        found = pkgutil.resolve_name(path) if "." in path else None
    except (ImportError, AttributeError, ValueError):
        return None
    return found if callable(found) else None


def check_k_probabilities(probabilities: Iterable[Any], num_classes: int | None = None) -> tuple[float, ...]:
    """Return P(1), …, P(K) as floats of at least 0 that sum to 1, with K ≤ C."""
    if isinstance(probabilities, str) or not isinstance(probabilities, Iterable):
        raise InvalidTypeError(must("k_probabilities", "be a sequence of numbers", repr(probabilities)))
    values = tuple(check_number("k_probabilities", value, "hold finite numbers") for value in probabilities)
    if any(value < 0 for value in values) or abs(sum(values) - 1) > 1e-6:
        raise InvalidValueError(must("k_probabilities", "be at least 0 and sum to 1", values))
    if num_classes is not None and len(values) > num_classes:
        requirement = f"hold at most one number a class ({num_classes})"
        raise InvalidValueError(must("k_probabilities", requirement, len(values), "Leave out the largest k."))
    return values


def check_num_candidates(num_candidates: int | None, largest_k: int) -> int | None:
    """Return `num_candidates` as an int above `largest_k`, or None."""
    if num_candidates is None:
        return None
    value = check_integer("num_candidates", num_candidates)
    if value <= largest_k:
        requirement = f"be more than the number of k_probabilities ({largest_k}), or None for all classes"
        raise InvalidValueError(must("num_candidates", requirement, value))
    return value
