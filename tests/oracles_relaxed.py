"""Slow references of soft top-k and soft permutations, straight from the formulas: bisection and loops over matrices.

Nothing here is shared with the package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import mpmath

__all__ = [
    "MATRICES",
    "neuralsort_matrix",
    "odd_even_matrix",
    "soft_topk",
    "soft_topk_shares",
    "softsort_matrix",
    "sorting_permutation",
    "topk_cross_entropy",
]

# Numbers of mpmath have exponents without bound: chances of e^(−10⁶) do not underflow.
Matrix = list[list[mpmath.mpf]]


def _logistic(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x))


def _laplace(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.exp(x) / 2 if x < 0 else 1 - mpmath.exp(-x) / 2


def _clipped_line(x: mpmath.mpf) -> mpmath.mpf:
    return min(mpmath.mpf(1), max(mpmath.mpf(0), x))


CURVES = {"logistic": _logistic, "laplace": _laplace, "clipped_line": _clipped_line}


# 1 − F(x), without the cancellation.
MISSING = {
    "logistic": lambda x: _logistic(-x),
    "laplace": lambda x: _laplace(-x),
    "clipped_line": lambda x: _clipped_line(1 - x),
}


def minus_log(share: mpmath.mpf) -> float:
    """Return −log. Rounded first: beside a power of 2, mpmath's log errs of a number with more digits than it works with."""
    return float(-mpmath.log(+share)) if share > 0 else math.inf


def soft_topk_shares(scores: Sequence[float], k: int, temperature: float, membership: str) -> list[mpmath.mpf]:
    """Return F((s_i − v)/t), v by bisection in 60 digits: the mass the k best miss is the mass of the others."""
    curve, missing = CURVES[membership], MISSING[membership]
    present = sorted((score for score in scores if score != -math.inf), reverse=True)
    if len(present) <= k:
        return [mpmath.mpf(score != -math.inf) for score in scores]
    with mpmath.workdps(60):
        t = mpmath.mpf(temperature)
        best, others = ([score / t for score in part] for part in (present[:k], present[k:]))
        low, high = others[-1] - 50, best[0] + 50
        for _ in range(220):
            middle = (low + high) / 2
            if mpmath.fsum(curve(x - middle) for x in others) > mpmath.fsum(missing(x - middle) for x in best):
                low = middle
            else:
                high = middle
        return [curve(score / t - low) if score != -math.inf else mpmath.mpf(0) for score in scores]


def soft_topk(scores: Sequence[float], y: int, *, k: int, temperature: float, membership: object) -> float:
    """−log m_y; 0 if fewer than k others are unmasked, else +∞ for a masked target."""
    if sum(score != -math.inf for j, score in enumerate(scores) if j != y) < k:
        return 0.0
    share = soft_topk_shares(scores, k, temperature, str(membership))[y]
    return minus_log(share)


def _softmax(values: Sequence[mpmath.mpf]) -> list[mpmath.mpf]:
    top = max(values)
    powers = [mpmath.exp(value - top) for value in values]
    return [power / mpmath.fsum(powers) for power in powers]


def softsort_matrix(scores: Sequence[float], temperature: float) -> Matrix:
    """Row r: softmax_c(−|s_[r] − s_c|/t)."""
    return [
        _softmax([-abs(mpmath.mpf(place) - score) / temperature for score in scores])
        for place in sorted(scores, reverse=True)
    ]


def neuralsort_matrix(scores: Sequence[float], temperature: float) -> Matrix:
    """Row r: softmax_c(((C + 1 − 2r) s_c − Σ_j |s_c − s_j|)/t)."""
    number = len(scores)
    scores = [mpmath.mpf(score) for score in scores]
    distances = [mpmath.fsum(abs(score - other) for other in scores) for score in scores]
    return [
        _softmax(
            [
                ((number + 1 - 2 * r) * score - distance) / temperature
                for score, distance in zip(scores, distances, strict=True)
            ]
        )
        for r in range(1, number + 1)
    ]


def odd_even_matrix(scores: Sequence[float], temperature: float) -> Matrix:
    """C layers of soft swaps of neighbours, from even and odd wires in turn; the first wire receives the larger score."""
    number = len(scores)
    pairs = [(wire, wire + 1) for layer in range(number) for wire in range(layer % 2, number - 1, 2)]
    values = [mpmath.mpf(score) for score in scores]
    product = [[mpmath.mpf(row == column) for column in range(number)] for row in range(number)]
    for first, second in pairs:
        lead = (values[first] - values[second]) / temperature
        stays, moves = _logistic(lead), _logistic(-lead)
        matrix = [[mpmath.mpf(row == column) for column in range(number)] for row in range(number)]
        matrix[first][first] = matrix[second][second] = stays
        matrix[first][second] = matrix[second][first] = moves
        product = [
            [mpmath.fsum(row[inner] * product[inner][column] for inner in range(number)) for column in range(number)]
            for row in matrix
        ]
        values = [
            mpmath.fsum(weight * value for weight, value in zip(row, values, strict=True) if weight) for row in matrix
        ]
    return product


def sorting_permutation(scores: Sequence[float]) -> Matrix:
    """Search all permutations for the one that puts the scores in falling order."""
    number = len(scores)
    order = next(
        order
        for order in itertools.permutations(range(number))
        if all(scores[a] > scores[b] for a, b in itertools.pairwise(order))
    )
    return [[float(order[row] == column) for column in range(number)] for row in range(number)]


MATRICES: dict[str, Callable[[Sequence[float], float], Matrix]] = {
    "softsort": softsort_matrix,
    "neuralsort": neuralsort_matrix,
}


def _column(scores: list[float], temperature: float, relaxation: str) -> list[mpmath.mpf]:
    """The chances of the first class to stand at rank 1, 2, …; masked classes do not exist."""
    present = [scores[0], *(score for score in scores[1:] if score != -math.inf)]
    return [row[0] for row in MATRICES[relaxation](present, temperature)]


def topk_cross_entropy(
    scores: Sequence[float],
    y: int,
    *,
    k_probabilities: Sequence[float],
    temperature: float,
    num_candidates: int | None,
    relaxation: str,
    top1_mode: str = "sm",
) -> float:
    """−log Σ_k P(k) · (chance of y to be among k), over y and the largest others; "smce" takes k = 1 apart.

    The chance is 1 from k = the number of unmasked others + 1 on, below that 0 for a masked target.
    """
    first = k_probabilities[0]
    if top1_mode == "smce":
        rest = [0.0, *(p / (1 - first) for p in k_probabilities[1:])]
        options = {"temperature": temperature, "num_candidates": num_candidates, "relaxation": relaxation}
        alone = topk_cross_entropy(scores, y, k_probabilities=(1.0,), **options)
        return first * alone + (1 - first) * topk_cross_entropy(scores, y, k_probabilities=rest, **options)
    others = sorted((score for j, score in enumerate(scores) if j != y), reverse=True)
    number = 1 + sum(score != -math.inf for score in others)
    candidates = [scores[y], *others][:num_candidates]
    masked = scores[y] == -math.inf
    column = [0.0] * len(candidates) if masked else _column(candidates, temperature, relaxation)
    chance = mpmath.mpf(0)
    for k, probability in enumerate(k_probabilities, start=1):
        if k >= number:
            chance += probability
        elif k == 1 and not masked:
            chance += probability * _softmax([mpmath.mpf(score) for score in candidates])[0]
        else:
            chance += probability * mpmath.fsum(column[:k])
    return minus_log(chance)
