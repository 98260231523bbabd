"""Prediction sets on a test: the promise beside what came out, in words, and whether the images are like those of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning.decisions._prediction_sets import PredictionSets
from topk_lightning.decisions._quantile import quantile_index
from topk_lightning.decisions._rows import ScoreRows
from topk_lightning.metrics import CoverageSummary, SetCoverage
from topk_lightning.scores import Scores

__all__ = ["SetMeter", "SetOutcome", "coverage_band", "measure_sets"]


@dataclass(frozen=True)
class SetOutcome:
    """What prediction sets came to on a test.

    Attributes:
        promise: the coverage c that was asked for.
        fit_images: images of the fit.
        summary: coverage and sizes on the test.
        band: bounds of the test's coverage in 95 of 100 pairs of a fit and a test of such images; see :func:`coverage_band`.
        filled: images whose set was empty and became the first guess.
        overshoots: whether more than the promise is expected: whole numbers of names, or empty sets that became the first guess.
    """

    promise: float
    fit_images: int
    summary: CoverageSummary
    band: tuple[float, float]
    filled: int = 0
    overshoots: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the coverage of the test is what the promise lets expect."""
        low, high = self.band
        return low <= self.summary.coverage and (self.overshoots or self.summary.coverage <= high)

    @property
    def sentence(self) -> str:
        """How many names must be shown, in words."""
        mean, few = self.summary.mean_size, f"at most 5 for {100 * self.summary.at_most(5):.0f} % of pictures"
        names = f"{mean:.0f}" if mean >= 10 else f"{mean:.1f}".removesuffix(".0")
        return f"To have the right name among them {100 * self.promise:g} of 100 times, show {names} names on average; {few}."

    @property
    def warning(self) -> str:
        """What is wrong where the promise does not fit the test; "" where nothing is."""
        if self.is_kept:
            return ""
        low, high = (f"{100 * bound:.0f}" for bound in self.band)
        is_less = self.summary.coverage < self.band[0]
        what = "they promise too much here" if is_less else "they show more names than they need to"
        return (
            f"{100 * self.promise:g} % were promised and {100 * self.summary.coverage:.1f} % came out on the test, outside the "
            f"{low} to {high} % of 95 in 100 tests of images like the {self.fit_images:,} of the fit. The test's images are of "
            f"another kind, so the sets hold no guarantee for them: {what}. Fit them on images like those to come."
        )


def coverage_band(fit_images: int, coverage: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Return the bounds of the coverage on a test, where its images and those of the fit are drawn alike.

    With k = ⌈(n + 1) c⌉ the number of covered images is beta-binomial, with parameters k and n + 1 − k, without ties.

    Args:
        fit_images: n.
        coverage: c.
        images: of the test.
        level: the probability of the bounds.

    Source:
        Vovk, Conditional validity of inductive conformal predictors, 2012.

    Examples:
        >>> [round(bound, 3) for bound in coverage_band(231, 0.9, 231)]
        [0.84, 0.948]
    """
    k = quantile_index(fit_images, coverage)
    if k > fit_images:
        return 1.0, 1.0
    a, b = torch.tensor(float(k), dtype=torch.float64), torch.tensor(float(fit_images + 1 - k), dtype=torch.float64)
    x, m = torch.arange(images + 1, dtype=torch.float64), torch.tensor(float(images), dtype=torch.float64)
    ways = torch.lgamma(m + 1) - torch.lgamma(x + 1) - torch.lgamma(m - x + 1)
    log_p = ways + _log_beta(x + a, m - x + b) - _log_beta(a, b)
    reached = (log_p - log_p.logsumexp(0)).exp().cumsum(0)
    tail = (1 - level) / 2
    low, high = (int(torch.searchsorted(reached, bound)) for bound in (tail, 1 - tail))
    return low / images, min(high, images) / images


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def measure_sets(
    sets: PredictionSets,
    scores: Tensor | Scores,
    target: Tensor | None = None,
    *,
    kind: str = "logits",
    group: Sequence[Any] | Tensor | None = None,
    generator: torch.Generator | None = None,
) -> SetOutcome:
    """Return what fitted sets come to on a test: coverage with its interval, sizes, and the promise beside it.

    Args:
        sets: fitted.
        scores: of the test, (N, C), or stored scores, which bring target, kind and weights with them.
        target: class indices (N,).
        kind: "logits" or "probabilities".
        group: of each image, for sets by group.
        generator: of u, for randomised sets.

    Examples:
        >>> p = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]])
        >>> sets = PredictionSets(coverage=0.8).fit(p, torch.tensor([0, 0, 2, 2]), kind="probabilities")
        >>> measure_sets(sets, p, torch.tensor([0, 0, 2, 2]), kind="probabilities").sentence
        'To have the right name among them 80 of 100 times, show 1.5 names on average; at most
        5 for 100 % of pictures.'
    """
    meter = SetMeter(sets)
    meter.update(scores, target, kind=kind, group=group, generator=generator)
    return meter.outcome()


class SetMeter:
    """Measure fitted sets a batch at a time.

    Args:
        sets: fitted.
    """

    def __init__(self, sets: PredictionSets) -> None:
        self.sets, self.filled = sets, 0
        self.metric = SetCoverage(sets.fitted.num_classes)

    def update(self, scores: Tensor | Scores, target: Tensor | None = None, kind: str = "logits", **more: Any) -> None:
        """Count some images; options as in :func:`measure_sets`."""
        rows = ScoreRows(scores, target, kind=kind)
        if not len(rows):
            return
        label, weight = rows.labels().cpu(), rows.weight
        for block, mask, filled in self.sets.masks(rows, **more):
            part = slice(block.start, block.start + len(block))
            self.metric.update(mask.cpu(), label[part], None if weight is None else weight[part].cpu())
            self.filled += filled

    def outcome(self) -> SetOutcome:
        """Return what the sets came to."""
        sets, summary = self.sets, self.metric.summary()
        band = coverage_band(sets.images, sets.coverage, max(1, round(summary.images)))
        overshoots = sets.options.method == "rank" or self.filled > 0
        return SetOutcome(sets.coverage, sets.images, summary, band, self.filled, overshoots)
