"""The threshold of a soft top-k in numbers that lose nothing, and the slopes of the classes around it.

Scores may be 10⁹ temperatures apart, so nothing is measured from the threshold itself: the few leading classes are kept
in float64 from s_[k], and the powers of all others from the best of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from topk_lightning.relaxations.rows import bounded, joined, row_blocks, small_dtype

__all__ = [
    "Threshold",
    "distances_from",
    "from_the_kth",
    "masses",
    "norm",
    "start_of",
    "threshold_of",
    "write_powers",
    "write_shares",
    "write_slopes",
]

# Stands for u where no (k+1)-th class sets a threshold: so far below that F′ is e^−x for every class.
_FAR_BELOW = -1e3


class Threshold(NamedTuple):
    """The threshold v = s_[k] + t·u of each row, and what its derivative is made of; all but `powers` are small.

    Args:
        centre: s_[k], (M, 1).
        u: (M, 1); −1000 where at most k classes are unmasked, so that nothing sets a threshold.
        free: where that is so, (M, 1); None if it is known to be nowhere.
        powers: what the curve made of all classes, of the shape of the rows; 0 for the leaders.
        places: the leaders' classes, (M, L).
        leaders: (s_i − s_[k])/t of the leaders, (M, L or more); the last of them is that of the score that has power 1.
    """

    centre: Tensor
    u: Tensor
    free: Tensor | None
    powers: Tensor
    places: Tensor
    leaders: Tensor


def write_powers(rows: Tensor, places: Tensor, reference: Tensor, temperature: float, out: Tensor) -> None:
    """Write exp((s − reference)/t) into `out`, 0 for the classes `places`."""
    for scores, leaders, highest, powers in row_blocks(rows, places, reference, out):
        torch.sub(scores, highest, out=powers).mul_(1 / temperature).exp_().scatter_(1, leaders, 0)


def from_the_kth(top: Tensor, k: int, temperature: float, finite: bool) -> Tensor:
    """Return (s_i − s_[k])/t of the largest scores of each row, in the dtype of small numbers."""
    small, centre = small_dtype(top), bounded(top[:, k - 1 : k], finite)
    return (top.to(small) - centre.to(small)).div_(temperature)


def start_of(best: Tensor, others: Tensor, lowest: Tensor) -> Tensor:
    """Return u if either side were equal classes with its Σ x and Σ x²: then the equation is quadratic in e^u."""
    total_best, total = best.sum(1, keepdim=True), others.sum(1, keepdim=True)
    tilt = (norm(best) / total_best).square_().sub_((norm(others) / total).square_())
    half = lowest / 2
    tilt.mul_((total_best * total).sqrt_()).mul_(half.exp()).div_(2)
    return (total / total_best).log_().div_(2).add_(half).add_(tilt.asinh_())


def masses(powers: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ m and √Σ m² of each row, (M, 1) each, with m = x / (1 + f x)."""
    totals, norms = [], []
    for x, f in row_blocks(powers, factor):
        mass = torch.mul(x, f).add_(1)
        torch.div(x, mass, out=mass)
        totals.append(mass.sum(1, keepdim=True))
        norms.append(norm(mass))
    return joined(totals), joined(norms)


def write_slopes(powers: Tensor, factor: Tensor, out: Tensor) -> Tensor:
    """Write x / (1 + f x)² into `out`, which may be x; return the sum of each row, (M, 1)."""
    totals = []
    for x, f, slopes in row_blocks(powers, factor, out):
        totals.append(torch.div(x, torch.mul(x, f).add_(1).square_(), out=slopes).sum(1, keepdim=True))
    return joined(totals)


def norm(rows: Tensor) -> Tensor:
    """Return √Σ x² of each row, (M, 1)."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return norms


def threshold_of(
    top: Tensor, leaders: Tensor, k: int, u: Tensor, powers: Tensor, places: Tensor, finite: bool
) -> Threshold:
    """Gather a :class:`Threshold` from the largest scores and their distances from the k-th."""
    centre, free = top[:, k - 1 : k], None
    if not finite:
        free = top[:, k : k + 1] == -math.inf
        # Nothing has power 1 there; −1000 from the threshold keeps exp finite.
        reference = leaders[:, -1:].masked_fill(free, 2 * _FAR_BELOW)
        leaders = torch.cat([leaders[:, : places.shape[1]], reference], 1)
        u = u.masked_fill(free, _FAR_BELOW)
    return Threshold(centre, u, free, powers, places, leaders)


def distances_from(threshold: Threshold) -> tuple[Tensor, Tensor, Tensor]:
    """Return |x| of the leaders (M, L), x of the score of power 1 and the smallest |x| of all these, (M, 1)."""
    x = threshold.leaders - threshold.u
    distances = x.abs()
    return distances[:, : threshold.places.shape[1]], x[:, -1:], distances.amin(1, keepdim=True)


def write_shares(out: Tensor, total: Tensor, leaders: Tensor, factor: Tensor, places: Tensor, scale: Tensor) -> None:
    """Scale the slopes, `leaders` at `places` and factor · out, of sum `total`, elsewhere: each row sums to `scale`."""
    # The class nearest to the threshold has a slope of at least 1/4, unless all are masked.
    scale = scale / (leaders.sum(1, keepdim=True) + factor * total).clamp_(min=0.25)
    out.mul_((factor * scale).to(out.dtype)).scatter_(1, places, (leaders * scale).to(out.dtype))
