"""Prediction sets by loops over Python's floats, straight from the definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["class_scores", "exact_index", "prediction_set", "threshold"]


def class_scores(
    logits: Sequence[float], method: str, *, penalty: float = 0.01, k: int = 5, uniform: float | None = None
) -> list[float]:
    """The score of each class of one row."""
    order = sorted(range(len(logits)), key=lambda label: (-logits[label], label))
    largest = max(logits)
    weights = [math.exp(score - largest) for score in logits]
    total = math.fsum(weights)
    scores = [0.0] * len(logits)
    for rank, label in enumerate(order):
        own = weights[label] / total
        ahead = math.fsum(weights[other] for other in order[:rank]) / total
        if method == "lac":
            scores[label] = largest - logits[label] + math.log(total)
        elif method == "rank":
            scores[label] = float(rank)
        else:
            scores[label] = ahead + (0 if uniform is None else (1 - uniform) * own)
            scores[label] += penalty * max(0, rank - k) if method == "raps" else 0
    return scores


def exact_index(images: int, coverage: Fraction) -> int:
    """⌈(n + 1) c⌉ in whole numbers."""
    return math.ceil((images + 1) * coverage)


def threshold(scores: Sequence[float], coverage: Fraction) -> float:
    """The ⌈(n + 1) c⌉-th smallest score, +inf where there is none."""
    index = exact_index(len(scores), coverage)
    return sorted(scores)[index - 1] if index <= len(scores) else math.inf


def prediction_set(logits: Sequence[float], method: str, cut: float, **options: float) -> set[int]:
    """The classes of one row up to a threshold."""
    return {label for label, score in enumerate(class_scores(logits, method, **options)) if score <= cut}  # type: ignore[arg-type]
