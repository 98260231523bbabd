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
    "bitonic_matrix",
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
    return float(-mpmath.log(share)) if share > 0 else math.inf


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


def _stays_cauchy(lead: mpmath.mpf) -> mpmath.mpf:
    return mpmath.mpf("0.5") + mpmath.atan(lead) / mpmath.pi


SWAPS = {"logistic": _logistic, "cauchy": _stays_cauchy}


def _swap_product(scores: Sequence[float], temperature: float, swap: str, pairs: list[tuple[int, int]]) -> Matrix:
    """Multiply dense matrices, one for each soft swap; the first wire of a pair receives the larger score."""
    number = len(scores)
    values = [mpmath.mpf(score) for score in scores]
    product = [[mpmath.mpf(row == column) for column in range(number)] for row in range(number)]
    for first, second in pairs:
        lead = mpmath.inf if values[second] == -math.inf else (values[first] - values[second]) / temperature
        stays = SWAPS[swap](lead)
        moves = SWAPS[swap](-lead)
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


def odd_even_matrix(scores: Sequence[float], temperature: float, swap: str = "logistic") -> Matrix:
    """C layers of swaps of neighbours, from even and odd wires in turn."""
    number = len(scores)
    pairs = [(wire, wire + 1) for layer in range(number) for wire in range(layer % 2, number - 1, 2)]
    return _swap_product(scores, temperature, swap, pairs)


def bitonic_matrix(scores: Sequence[float], temperature: float, swap: str = "logistic") -> Matrix:
    """Batcher's bitonic network for a power of two, by its recursion: sort one half each way, then merge."""

    def merge(wires: list[int]) -> list[tuple[int, int]]:
        half = len(wires) // 2
        if not half:
            return []
        return [*zip(wires[:half], wires[half:], strict=True), *merge(wires[:half]), *merge(wires[half:])]

    def order(wires: list[int], falling: bool) -> list[tuple[int, int]]:
        half = len(wires) // 2
        if not half:
            return []
        own = merge(wires)
        own = own if falling else [(second, first) for first, second in own]
        return [*order(wires[:half], True), *order(wires[half:], False), *own]

    return _swap_product(scores, temperature, swap, order(list(range(len(scores))), True))


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
    "odd_even_network": odd_even_matrix,
    "bitonic_network": bitonic_matrix,
    "cauchy_odd_even_network": lambda scores, t: odd_even_matrix(scores, t, "cauchy"),
    "cauchy_bitonic_network": lambda scores, t: bitonic_matrix(scores, t, "cauchy"),
}


def _column(scores: list[float], y: int, temperature: float, relaxation: str) -> list[mpmath.mpf]:
    """The chances of class y to stand at rank 1, 2, …; in a network, their mean over the wires y may start on.

    Masked classes do not exist for SoftSort and NeuralSort; in a network they keep the last wires.
    """
    if "network" not in relaxation:
        present = [scores[y], *(score for j, score in enumerate(scores) if j != y and score != -math.inf)]
        return [row[0] for row in MATRICES[relaxation](present, temperature)]
    others = sorted((score for j, score in enumerate(scores) if j != y), reverse=True)
    starts = sum(score != -math.inf for score in scores)
    size = 1 << (len(scores) - 1).bit_length() if "bitonic" in relaxation else len(scores)
    total = [mpmath.mpf(0)] * size
    for start in range(starts):
        wires = [*others[:start], scores[y], *others[start:], *[-math.inf] * (size - len(scores))]
        matrix = MATRICES[relaxation](wires, temperature)
        total = [sum_ + row[start] for sum_, row in zip(total, matrix, strict=True)]
    return [sum_ / starts for sum_ in total]


def topk_cross_entropy(
    scores: Sequence[float],
    y: int,
    *,
    k_probabilities: Sequence[float],
    temperature: float,
    num_candidates: int | None,
    relaxation: str,
) -> float:
    """−log Σ_k P(k) · (chance of y to be among k), over y and the largest others.

    The chance is 1 from k = the number of unmasked others + 1 on, below that 0 for a masked target.
    """
    others = sorted((score for j, score in enumerate(scores) if j != y), reverse=True)
    number = 1 + sum(score != -math.inf for score in others)
    candidates = [scores[y], *others][:num_candidates]
    masked = scores[y] == -math.inf
    column = [0.0] * len(candidates) if masked else _column(candidates, 0, temperature, relaxation)
    chance = mpmath.mpf(0)
    for k, probability in enumerate(k_probabilities, start=1):
        if k >= number:
            chance += probability
        elif k == 1 and not masked:
            chance += probability * _softmax([mpmath.mpf(score) for score in candidates])[0]
        else:
            chance += probability * mpmath.fsum(column[:k])
    return float(-mpmath.log(chance)) if chance else math.inf
