"""Two ways to train, each tried with several seeds: what of the difference is the seed, and what the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from topk_lightning.decisions._mcnemar import McNemar, verdict_of
from topk_lightning.decisions._student import two_sided_t

__all__ = ["SeedsDifference", "difference_over_seeds", "sign_flips"]


@dataclass(frozen=True)
class SeedsDifference:
    """The difference of two ways to train, each with S seeds, on the same N images.

    Attributes:
        first: mean accuracy of the first over its seeds.
        second: that of the second.
        by_seed: difference of each pair of seeds, second − first.
        low: lower bound of the mean difference, had there been other seeds and other images.
        high: its upper bound.
        p: the probability of a mean difference at least as large where there is none.
        level: the probability of the interval.
        margin: up to which a difference does not matter; None: no such question.
        equivalent: whether the difference is shown to lie within the margin; None without a margin.
    """

    first: float
    second: float
    by_seed: tuple[float, ...]
    low: float
    high: float
    p: float
    level: float
    margin: float | None = None
    equivalent: bool | None = None

    @property
    def difference(self) -> float:
        """Mean accuracy of the second less that of the first."""
        return math.fsum(self.by_seed) / len(self.by_seed)

    @property
    def verdict(self) -> str:
        """What is shown at this level: "better", "worse", "equivalent" or "undecided", said of the second."""
        return verdict_of(self.difference, self.p, self.level, self.equivalent)

    def __str__(self) -> str:
        seeds = ", ".join(f"{each:+.3f}" for each in self.by_seed)
        return (
            f"{self.first:.3f} and {self.second:.3f}, difference {self.difference:+.3f} ({self.low:+.3f} to {self.high:+.3f}) "
            f"over {len(self.by_seed)} pairs of seeds ({seeds}), p {self.p:.3f}: {self.verdict}"
        )


def difference_over_seeds(
    first: Tensor, second: Tensor, *, level: float = 0.95, margin: float | None = None
) -> SeedsDifference:
    r"""Return the mean difference over S pairs of seeds, with an interval that other seeds and other images widen.

    With mean squares of pairs, images and the rest as in an analysis of variance of two crossed factors, the interval is the
    mean ± w, to which seeds and images add their parts as squares:

    .. math:: w^2 = t_{S-1}^2 \frac{MS_{seeds}}{S N} + z^2 \frac{\max(0, MS_{images} - MS_{rest})}{S N}

    with t of Student's distribution and z of the normal one. It is p at which the interval ends at 0.

    Shape:
        first and second: (S, N) bool, S ≥ 2, N ≥ 2.

    Args:
        first: where each network of the first way is right, by seed.
        second: the same of the second.
        level: the probability of the interval.
        margin: the difference up to which both count as equally good.

    Examples:
        >>> right = torch.tensor([[True] * 60 + [False] * 40, [False] * 40 + [True] * 60])
        >>> print(difference_over_seeds(right, right))
        0.600 and 0.600, difference +0.000 (+0.000 to +0.000) over 2 pairs of seeds (+0.000,
        +0.000), p 1.000: undecided

    Source: Owen, The pigeonhole bootstrap, 2007, for the parts of the variance.
    """
    gaps = second.double() - first.double()
    seeds, images = gaps.shape
    mean, by_seed, by_image = float(gaps.mean()), gaps.mean(1), gaps.mean(0)
    of_seeds = images * float(by_seed.var(correction=1))
    of_images = seeds * float(by_image.var(correction=1))
    rest = float((gaps - by_seed[:, None] - by_image + mean).square().sum()) / ((seeds - 1) * (images - 1))
    parts = of_seeds / (seeds * images), max(0.0, of_images - rest) / (seeds * images)

    def width(p: float) -> float:
        return math.hypot(two_sided_t(p, seeds - 1) * math.sqrt(parts[0]), _normal(p) * math.sqrt(parts[1]))

    equivalent = None
    if margin is not None:
        inner = width(2 - 2 * level) if level > 0.5 else width(1 - level)
        equivalent = -margin < mean - inner and mean + inner < margin
    return SeedsDifference(
        first=float(first.double().mean()),
        second=float(second.double().mean()),
        by_seed=tuple(by_seed.tolist()),
        low=mean - width(1 - level),
        high=mean + width(1 - level),
        p=_where(width, abs(mean)),
        level=level,
        margin=margin,
        equivalent=equivalent,
    )


def _normal(p: float) -> float:
    """Return the normal value that is reached in absolute value with probability p."""
    return -float(torch.special.ndtri(torch.tensor(p / 2, dtype=torch.float64)))


def _where(width: Callable[[float], float], distance: float) -> float:
    """Return the p at which a width, which falls as p rises, is this distance."""
    if not distance:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if width(middle) < distance else (middle, high)
    return high


def sign_flips(gains: Sequence[int]) -> McNemar:
    """Return the two-sided p, exact and mid-p, of a sum of whole numbers each of whose signs is as likely as the other.

    An image on which the second way is right with g seeds more than the first counts g. For one seed this is McNemar's test.

    Examples:
        >>> round(sign_flips([1] * 8 + [-1] * 2).exact * 1024)
        112
    """
    gaps, images = numpy.unique(numpy.abs(numpy.asarray(gains, dtype=numpy.int64)), return_counts=True)
    reached = numpy.ones(1)  # the probability of each sum, whose middle is 0
    for gap, count in zip(gaps.tolist(), images.tolist(), strict=True):
        if gap:
            sums = numpy.zeros(2 * gap * count + 1)
            sums[:: 2 * gap] = [math.exp(_log_ways(count, up) - count * math.log(2)) for up in range(count + 1)]
            reached = numpy.convolve(reached, sums)
    seen = len(reached) // 2 + abs(int(numpy.sum(gains)))
    at, beyond = float(reached[seen]), float(reached[seen + 1 :].sum())
    return McNemar(min(1.0, 2 * (at + beyond)), min(1.0, at + 2 * beyond))


def _log_ways(count: int, up: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(up + 1) - math.lgamma(count - up + 1)
