"""Checks of relaxations: scores with their classes last, curves and relaxations by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from topk_lightning._checks import must

__all__ = ["check_member", "check_scores_last"]

T = TypeVar("T")


def check_scores_last(scores: object) -> Tensor:
    """Return float `scores` (…, C) in float32 or float64."""
    if not isinstance(scores, Tensor):
        raise TypeError(must("scores", "be a torch.Tensor", type(scores).__name__, "Convert it with torch.as_tensor."))
    if not scores.is_floating_point():
        raise TypeError(must("scores", "be of a float dtype", scores.dtype, "Did you mean scores.float()?"))
    if scores.ndim == 0:
        raise ValueError(must("scores", "have shape (…, C)", "()"))
    return scores if scores.dtype == torch.float64 else scores.float()


def check_member(name: str, value: T | str, known: Mapping[str, T], kind: type[T]) -> T:
    """Return the object that `value` is or names."""
    if isinstance(value, str) and value in known:
        return known[value]
    if not isinstance(value, kind):
        requirement = "be one of " + ", ".join(map(repr, known)) + " or such an object"
        raise (ValueError if isinstance(value, str) else TypeError)(must(name, requirement, repr(value)))
    return value
