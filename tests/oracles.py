"""Slow references straight from the formulas, for one row of scores in Python floats.

Each takes ``(scores, y, **options)`` and returns the loss of the row. Nothing here is shared with the package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["largest_gap", "log_sum_exp", "temperature_cross_entropy"]


def log_sum_exp(values: Sequence[float]) -> float:
    """Return log Σ exp, exactly summed; −inf for nothing."""
    top = max(values, default=-math.inf)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(value - top) for value in values))


def temperature_cross_entropy(
    scores: Sequence[float], y: int, *, temperature: float, scale_loss: str = "none"
) -> float:
    """t-scaled cross entropy: log Σ_j exp((s_j − s_y)/t), times 1, t or t²."""
    factor = {"none": 1.0, "T": temperature, "T2": temperature**2}[scale_loss]
    return factor * log_sum_exp([(score - scores[y]) / temperature for score in scores])


def largest_gap(scores: Sequence[float], y: int, **_: object) -> float:
    """max_j s_j − s_y: cross entropy's limit at temperature 0."""
    return max(scores) - scores[y]
