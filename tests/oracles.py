"""Slow references straight from the formulas, for one row of scores in Python floats.

Each takes ``(scores, y, **options)`` and returns the loss of the row. Nothing here is shared with the package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

__all__ = [
    "calibrated_topk_hinge",
    "competitors",
    "grouped_topk_cross_entropy",
    "largest_gap",
    "log_sum_exp",
    "logit_adjusted_cross_entropy",
    "smooth_topk_svm",
    "smooth_topk_svm_in_decimals",
    "svm_hinge",
    "temperature_cross_entropy",
    "truncated_hinge",
    "truncated_topk_entropy",
]


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


def logit_adjusted_cross_entropy(
    scores: Sequence[float], y: int, *, class_counts: Sequence[int], strength: float = 1.0
) -> float:
    """Cross entropy of s_j + α·log n_j."""
    adjusted = [score + strength * math.log(count) for score, count in zip(scores, class_counts, strict=True)]
    return log_sum_exp([score - adjusted[y] for score in adjusted]) if adjusted[y] > -math.inf else math.inf


def largest_gap(scores: Sequence[float], y: int, **_: object) -> float:
    """max_j s_j − s_y: cross entropy's limit at temperature 0."""
    return max(scores) - scores[y]


def competitors(scores: Sequence[float], y: int) -> list[float]:
    """The scores of the other classes, largest first."""
    return sorted((score for j, score in enumerate(scores) if j != y), reverse=True)


def truncated_topk_entropy(scores: Sequence[float], y: int, *, k: int, temperature: float = 1.0) -> float:
    """t · log(1 + Σ exp((s_j − s_y)/t)) over the competitors from the k-th on."""
    return temperature * log_sum_exp([0.0, *((s - scores[y]) / temperature for s in competitors(scores, y)[k - 1 :])])


def truncated_hinge(scores: Sequence[float], y: int, *, k: int, **_: object) -> float:
    """max(0, s_∖y,[k] − s_y): the truncated entropy's limit at temperature 0."""
    return max([0.0, *(s - scores[y] for s in competitors(scores, y)[k - 1 : k])])


def grouped_topk_cross_entropy(scores: Sequence[float], y: int, *, k: int) -> float:
    """−log of the summed probability of the k best classes where y is one of them, else −log p_y."""
    best = sorted(range(len(scores)), key=lambda j: (-scores[j], j))[:k]
    group = best if y in best else [y]
    return log_sum_exp(scores) - log_sum_exp([scores[j] for j in group])


def calibrated_topk_hinge(
    scores: Sequence[float], y: int, *, k: int, margin: float = 1.0, scale: float = 1.0, **_: object
) -> float:
    """scale · max(0, margin + s_[k+1] − s_y), 0 at k = C."""
    return scale * max([0.0, *(margin + s - scores[y] for s in sorted(scores, reverse=True)[k : k + 1])])


def smooth_topk_svm(
    scores: Sequence[float],
    y: int,
    *,
    k: int,
    temperature: float = 1.0,
    margin: float = 1.0,
    units: str = "logits",
) -> float:
    """t · log(1 + exp(a/t − s_y/(ut)) E_k / E_(k−1)), each E_i summed over all subsets of i competitors.

    The x_j are exp(s_j / (ut)), with u = 1 in units of the logits and u = k as published.
    """
    unit = {"logits": 1, "published": k}[units]
    if k == len(scores):
        return 0.0
    others = [(score - scores[y]) / (unit * temperature) for j, score in enumerate(scores) if j != y]

    def log_polynomial(i: int) -> float:
        return log_sum_exp([math.fsum(subset) for subset in itertools.combinations(others, i)])

    if log_polynomial(k) == -math.inf:
        return 0.0
    return temperature * log_sum_exp([0.0, margin / temperature + log_polynomial(k) - log_polynomial(k - 1)])


def smooth_topk_svm_in_decimals(
    scores: Sequence[float],
    y: int,
    *,
    k: int,
    temperature: float = 1.0,
    margin: float = 1.0,
    classes: Sequence[int] | None = None,
) -> tuple[float, list[float]]:
    """The published form and its gradient (of `classes`, or all) from the coefficients of Π_j (1 + x_j X), in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        context.Emin, context.Emax = -(10**15), 10**15
        scale = k * Decimal(temperature)
        numbers = [((Decimal(score) - Decimal(scores[y])) / scale).exp() for score in scores]

        def coefficients(left_out: set[int]) -> list[Decimal]:
            found = [Decimal(1)] + [Decimal(0)] * k
            for j, x in enumerate(numbers):
                if j not in left_out:
                    for i in range(k, 0, -1):
                        found[i] += x * found[i - 1]
            return found

        whole = coefficients({y})
        odds = (Decimal(margin) / Decimal(temperature)).exp() * whole[k] / whole[k - 1]
        share = odds / (1 + odds) / k
        gradient = []
        for j in range(len(numbers)) if classes is None else classes:
            x = numbers[j]
            own = coefficients({y, j})
            member = x * own[k - 1] / whole[k] - (x * own[k - 2] / whole[k - 1] if k > 1 else 0)
            gradient.append(float(-share if j == y else share * member))
        return float(Decimal(temperature) * (1 + odds).ln()), gradient


def svm_hinge(
    scores: Sequence[float], y: int, *, k: int, margin: float = 1.0, units: str = "logits", **_: object
) -> float:
    """max(0, a + (s_∖y,[k] − s_y) / u): the smooth SVM loss's limit at temperature 0, u as above."""
    unit = {"logits": 1, "published": k}[units]
    return max([0.0, *(margin + (s - scores[y]) / unit for s in competitors(scores, y)[k - 1 : k])])
