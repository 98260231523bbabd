"""The threshold of a soft top-k in numbers that lose nothing, and the slopes of the classes around it.

Scores may be 10⁹ temperatures apart, so nothing is measured from the threshold itself: the few leading classes are kept
in float64 from s_[k], and the powers of all others from the best of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Threshold", "distances_from", "threshold_of", "write_powers", "write_shares"]

# Stands for u where no (k+1)-th class sets a threshold: so far below that F′ is e^−x for every class.
_FAR_BELOW = -1e3


class Threshold(NamedTuple):
    """The threshold v = s_[k] + t·u of each row, and what its derivative is made of; all but `powers` are small.

    Args:
        centre: s_[k], (M, 1).
        u: (M, 1); −1000 where at most k classes are unmasked, so that nothing sets a threshold.
        free: where that is so, (M, 1).
        powers: what the curve made of all classes, of the shape of the rows; 0 for the leaders.
        places: the leaders' classes, (M, L).
        leaders: (s_i − s_[k])/t of the leaders, (M, L).
        reference: (s_r − s_[k])/t of the score s_r that has power 1, (M, 1).
    """

    centre: Tensor
    u: Tensor
    free: Tensor
    powers: Tensor
    places: Tensor
    leaders: Tensor
    reference: Tensor


def write_powers(rows: Tensor, index: Tensor, reference: Tensor, temperature: float, out: Tensor) -> None:
    """Write exp((s − reference)/t) into `out`, 0 for the classes `index`."""
    torch.sub(rows, reference, out=out).mul_(1 / temperature).exp_().scatter_(1, index, 0)


def threshold_of(
    top: Tensor,
    small: Tensor,
    k: int,
    u: Tensor,
    powers: Tensor,
    index: Tensor,
    reference: Tensor,
    temperature: float,
) -> Threshold:
    """Gather a :class:`Threshold`; `top` are scores, the first of them the leaders', and `small` the same in u's dtype."""
    free = top[:, k : k + 1] == -math.inf
    centre = small[:, k - 1 : k].clamp(min=torch.finfo(top.dtype).min)
    leaders = (small[:, : index.shape[1]] - centre) / temperature
    # Nothing has power 1 there; −1000 from the threshold keeps exp finite.
    distance = ((reference.to(u.dtype) - centre) / temperature).masked_fill(free, 2 * _FAR_BELOW)
    return Threshold(top[:, k - 1 : k], u.masked_fill(free, _FAR_BELOW), free, powers, index, leaders, distance)


def distances_from(threshold: Threshold) -> tuple[Tensor, Tensor, Tensor]:
    """Return |x| of the leaders (M, L), x of the reference and the smallest |x| of all these, (M, 1)."""
    distances = (threshold.leaders - threshold.u).abs()
    reference = threshold.reference - threshold.u
    return distances, reference, torch.minimum(distances.amin(1, keepdim=True), reference.abs())


def write_shares(out: Tensor, leaders: Tensor, factor: Tensor, index: Tensor, scale: Tensor) -> None:
    """Scale the slopes, `leaders` at `index` and factor · out elsewhere, such that each row sums to `scale`."""
    # The class nearest to the threshold has a slope of at least 1/4, unless all are masked.
    scale = scale / (leaders.sum(1, keepdim=True) + factor * out.sum(1, keepdim=True)).clamp(min=0.25)
    out.mul_((factor * scale).to(out.dtype)).scatter_(1, index, (leaders * scale).to(out.dtype))
