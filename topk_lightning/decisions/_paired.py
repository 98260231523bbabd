"""Two models on the same images: the difference of their accuracies with its interval, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_fraction, check_level
from topk_lightning.decisions._mcnemar import McNemar, mcnemar, verdict_of
from topk_lightning.metrics import wilson_interval

__all__ = ["PairedComparison", "compare_hits", "paired_interval"]


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """How a second model does beside a first one on the same images.

    Attributes:
        images: number of images N.
        both: images on which both models are right.
        won: indices of the images on which only the second is right (W,).
        lost: indices of those on which only the first is right (L,).
        level: the probability of the interval.
        low: lower bound of the difference.
        high: upper bound.
        margin: up to which a difference does not matter; None: no such question.
        equivalent: whether the difference is shown to lie within the margin, by two one-sided tests; None without a margin.
    """

    images: int
    both: int
    won: Tensor
    lost: Tensor
    level: float
    low: float
    high: float
    margin: float | None = None
    equivalent: bool | None = None

    @property
    def first(self) -> float:
        """Accuracy of the first model."""
        return (self.both + len(self.lost)) / self.images

    @property
    def second(self) -> float:
        """Accuracy of the second model."""
        return (self.both + len(self.won)) / self.images

    @property
    def difference(self) -> float:
        """Accuracy of the second model less that of the first."""
        return (len(self.won) - len(self.lost)) / self.images

    @property
    def test(self) -> McNemar:
        """The p of McNemar's test, exact and mid-p."""
        return mcnemar(len(self.won), len(self.lost))

    @property
    def verdict(self) -> str:
        """What is shown by the mid-p at this level: "better", "worse", "equivalent" or "undecided", said of the second."""
        return verdict_of(self.difference, self.test.mid_p, self.level, self.equivalent)

    def __str__(self) -> str:
        exact, mid_p = self.test
        return (
            f"{self.first:.3f} and {self.second:.3f}, difference {self.difference:+.3f} ({self.low:+.3f} to {self.high:+.3f}), "
            f"{len(self.won)} won, {len(self.lost)} lost, p {mid_p:.3f} (mid-p; exact {exact:.3f}): {self.verdict}"
        )


def compare_hits(
    first: Tensor, second: Tensor, *, level: float = 0.95, margin: float | None = None
) -> PairedComparison:
    """Return how a second model does beside a first one, from whether each is right about each image.

    Shape:
        first and second: (N,) bool, the same images in the same order.

    Args:
        first: where the first model is right.
        second: where the second is.
        level: the probability of the interval, in (0, 1).
        margin: the difference up to which the models count as equally good, in [0, 1]: they are equivalent if the interval
            at the level 2·level − 1 lies within ±margin, which is two one-sided tests at 1 − level.

    Raises:
        TypeError: no tensors of bool.
        ValueError: other shapes, no image, an option out of range.

    Examples:
        >>> first = torch.tensor([True] * 70 + [False] * 30)
        >>> second = torch.tensor([True] * 68 + [False] * 2 + [True] * 9 + [False] * 21)
        >>> print(compare_hits(first, second))
        0.700 and 0.770, difference +0.070 (+0.003 to +0.138), 9 won, 2 lost, p 0.039 (mid-p;
        exact 0.065): better

    Source: Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on paired
    data", method 10; Schuirmann (1987) for equivalence.
    """
    for name, hits in (("first", first), ("second", second)):
        if not isinstance(hits, Tensor) or hits.dtype != torch.bool:
            actual = str(hits.dtype) if isinstance(hits, Tensor) else type(hits).__name__
            raise InvalidTypeError(must(name, "be a tensor of bool, whether each image is right", actual))
        if hits.ndim != 1 or hits.shape != first.shape or not len(hits):
            wanted = (
                f"have shape {tuple(first.shape)} as first"
                if hits is second
                else "have shape (N,) of at least one image"
            )
            raise InvalidValueError(must(name, wanted, tuple(hits.shape)))
    check_level(level)
    won, lost = (~first & second).nonzero().flatten().cpu(), (first & ~second).nonzero().flatten().cpu()
    images, both = len(first), int((first & second).sum())
    low, high = paired_interval(both, len(won), len(lost), images, level)
    equivalent = None
    if margin is not None:
        check_fraction("margin", margin)
        inner = paired_interval(both, len(won), len(lost), images, 2 * level - 1) if level > 0.5 else (low, high)
        equivalent = -margin < inner[0] and inner[1] < margin
    return PairedComparison(images, both, won, lost, level, low, high, margin, equivalent)


def paired_interval(both: int, won: int, lost: int, images: int, level: float) -> tuple[float, float]:
    """Return the interval of the difference of two accuracies on the same images: Newcombe's method 10.

    Wilson's intervals of both accuracies are joined, with the correlation of the models taken into account.
    """
    neither = images - both - won - lost
    second, first = (both + won) / images, (both + lost) / images
    fractions = torch.tensor([second, first], dtype=torch.float64)
    bounds = wilson_interval(fractions, torch.full((2,), float(images), dtype=torch.float64), level)
    (low_2, high_2), (low_1, high_1) = bounds.tolist()
    spread = (both + won) * (both + lost) * (neither + won) * (neither + lost)
    agreement = both * neither - won * lost
    phi = (max(agreement - images / 2, 0) if agreement > 0 else agreement) / math.sqrt(spread) if spread else 0.0

    def joined(bound: float, other: float) -> float:
        return math.sqrt(max(0.0, bound**2 - 2 * phi * bound * other + other**2))

    difference = (won - lost) / images
    return difference - joined(second - low_2, high_1 - first), difference + joined(high_2 - second, first - low_1)
