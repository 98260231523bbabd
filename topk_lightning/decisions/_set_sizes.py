"""Two models by how many names they must show for the same promise, without further images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.decisions._conformal_scores import ScoreRule, has_softmax
from topk_lightning.decisions._quantile import conformal_quantile
from topk_lightning.decisions._rows import ScoreRows
from topk_lightning.scores import Scores

__all__ = ["SizeComparison", "compare_sizes", "halves"]

_SEED = 0


@dataclass(frozen=True)
class SizeComparison:
    """How many names two models show on the same images, both with the right one among them as often.

    Attributes:
        promise: coverage c of the sets.
        coverage: share of the images that each model covers.
        mean: names that each shows on average.
        median: names that each shows for the image in the middle.
        low: lower bound of the difference of the means, second − first.
        high: its upper bound.
    """

    promise: float
    coverage: tuple[float, float]
    mean: tuple[float, float]
    median: tuple[float, float]
    low: float
    high: float

    @property
    def difference(self) -> float:
        """Names on average of the second model less those of the first."""
        return self.mean[1] - self.mean[0]


def compare_sizes(first: Scores, second: Scores, rows: Tensor, promise: float, level: float) -> SizeComparison:
    """Return the sizes of LAC sets of both models, fitted on one half of the images and counted on the other, both ways.

    Args:
        first: scores of the first model.
        second: those of the second.
        rows: row of the second for each image of the first (N,).
        promise: the coverage c.
        level: the probability of the interval, which is that of a mean over images.
    """
    half = halves(len(first))
    sizes, covered = _sizes_and_hits(first, half, promise)
    others = _sizes_and_hits(second, torch.empty_like(half).scatter_(0, rows, half), promise)
    pairs = (sizes, others[0][rows]), (covered, others[1][rows])
    by_model = [[values.double() for values in pair] for pair in pairs]
    gap = by_model[0][1] - by_model[0][0]
    z = float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))
    spread = z * float(gap.std(correction=1)) / len(gap) ** 0.5 if len(gap) > 1 else float("inf")
    mean = [float(values.mean()) for values in by_model[0]]
    return SizeComparison(
        promise,
        coverage=(float(by_model[1][0].mean()), float(by_model[1][1].mean())),
        mean=(mean[0], mean[1]),
        median=(float(sizes.median()), float(others[0].median())),
        low=float(gap.mean()) - spread,
        high=float(gap.mean()) + spread,
    )


def halves(images: int) -> Tensor:
    """Return in which half each image is (N,), 0 or 1; the same at each call."""
    order = torch.randperm(images, generator=torch.Generator().manual_seed(_SEED))
    half = torch.zeros(images, dtype=torch.int64)
    half[order[images // 2 :]] = 1
    return half


def _sizes_and_hits(scores: Scores, half: Tensor, promise: float) -> tuple[Tensor, Tensor]:
    """Return names shown and whether the right one is among them, for each image (N,)."""
    rule, rows, labels = ScoreRule(), ScoreRows(scores), scores.labels("prediction sets")
    of_target = torch.cat([rule.of_targets(block.values, block.logits, labels[part]) for part, block in rows.blocks()])
    ranks = scores.target_ranks()
    thresholds = torch.tensor(
        [conformal_quantile(of_target[half != part].sort().values, promise) for part in (0, 1)], dtype=torch.float64
    )[half]
    sizes, shows = [], []
    for part, block in rows.blocks():
        sizes.append((rule.of_classes(block.values, block.logits) <= thresholds[part].unsqueeze(1)).sum(1))
        shows.append(has_softmax(block.logits))
    size, can_show = torch.cat(sizes), torch.cat(shows)
    is_filled = can_show & (size == 0)  # the first guess
    hit = can_show & torch.where(is_filled, ranks == 0, of_target <= thresholds)
    return torch.where(is_filled, 1, size), hit
