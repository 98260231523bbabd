"""How a class report comes to its findings: which classes can be judged, and which numbers are worth a sentence.

A class is judged by itself from `min_images` on, the number at which the interval of a faultless class clears the bound
of a low recall. The others are judged together, group by group, where groups are given. A recall is called low only if
its whole interval is, at a level that is shared among everything judged (Bonferroni), so that a thousand classes do not
make a finding by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from topk_lightning._checks.class_report import check_below_one, check_one_group_a_class
from topk_lightning._checks.options import check_fraction, check_integer
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics._intervals import check_level, wilson_interval
from topk_lightning.metrics._report_counts import ReportCounts
from topk_lightning.metrics.findings import (
    SEVERITIES,
    AccuracyParadox,
    ConfusesNeighbours,
    Finding,
    Judged,
    Leakage,
    LowRecall,
    NanScores,
    NeverPredicted,
    NotLearned,
    Overfitting,
    TooFewImages,
)

if TYPE_CHECKING:
    from topk_lightning.data.leakage import Leak, Leaks

__all__ = ["Bounds", "find", "groups_of", "images_to_judge"]

_EXAMPLES = 3


@dataclass(frozen=True)
class Bounds:
    """The numbers that decide what is worth a sentence; see :meth:`ClassReport.findings`."""

    level: float
    min_images: int
    low_recall: float
    high_accuracy: float
    low_accuracy: float
    overfitting_gap: float
    neighbour_share: float

    def __post_init__(self) -> None:
        check_level(self.level)
        check_integer("min_images", self.min_images)
        for name in ("low_recall", "high_accuracy", "low_accuracy", "overfitting_gap", "neighbour_share"):
            check_fraction(name, getattr(self, name))


def images_to_judge(low_recall: float, level: float = 0.95, name: str = "low_recall") -> int:
    """Return from how many images n on Wilson's interval of a recall of 1, [n/(n + z²), 1], clears `low_recall`."""
    check_below_one(name, low_recall)
    z = float(torch.special.ndtri(torch.tensor((1 + check_level(level)) / 2, dtype=torch.float64)))
    return math.floor(z**2 * low_recall / (1 - low_recall)) + 1


def groups_of(groups: Any, class_names: Sequence[str]) -> Hierarchy:
    """Return the group of each class, from its names in the order of the classes or from all a hierarchy is made of."""
    if isinstance(groups, Sequence) and not isinstance(groups, str) and all(isinstance(one, str) for one in groups):
        coarse = {name: number for number, name in enumerate(sorted(set(groups)))}
        hierarchy = Hierarchy(tuple(coarse[name] for name in groups), tuple(coarse))
    else:
        hierarchy = Hierarchy.of(groups, class_names)
    check_one_group_a_class(len(hierarchy.groups), len(class_names))
    return hierarchy


def find(
    counts: ReportCounts,
    k: int,
    names: Sequence[str],
    bounds: Bounds,
    groups: Hierarchy | None,
    train_accuracy: float | None,
    val_accuracy: float | None,
    leaks: Leaks | Sequence[Leak],
) -> list[Finding]:
    """Return all findings, the most serious first."""
    found: list[Finding] = []
    images = int(counts.histogram.sum())
    accuracy = int(counts.histogram[0]) / images
    if counts.nan_rows:
        found.append(NanScores(int(counts.nan_rows), images))
    found += _leakage(leaks)
    found += _classes(counts, names, bounds, groups, accuracy)
    found += _overfitting(accuracy, images, train_accuracy, val_accuracy, bounds)
    if 1 < k < len(names):
        found += _misses(counts, k, len(names), bounds)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _classes(
    counts: ReportCounts, names: Sequence[str], bounds: Bounds, groups: Hierarchy | None, accuracy: float
) -> Iterator[Finding]:
    images, right, predicted = (part.tolist() for part in (counts.support, counts.within(1), counts.predicted))
    few = [index for index, number in enumerate(images) if number < bounds.min_images]
    units = [([index], names[index]) for index in range(len(names)) if images[index] >= bounds.min_images]
    pooled = [] if groups is None else _together(few, groups)
    pooled = [unit for unit in pooled if sum(images[index] for index in unit[0]) >= bounds.min_images]
    rare = [([index], names[index]) for index in few if images[index] and not predicted[index]]
    level = 1 - (1 - bounds.level) / max(1, len(units) + len(pooled))
    judged, together, unseen = (_judge(some, images, right, level) for some in (units, pooled, rare))

    weak = [unit for unit in (*judged, *together) if unit.high < min(bounds.low_recall, accuracy)]
    if weak:
        kind = AccuracyParadox if accuracy >= bounds.high_accuracy else LowRecall
        yield kind(accuracy, bounds.low_recall, tuple(sorted(weak, key=lambda unit: unit.recall)))

    # A class named as often as it has images, n times on average, is missed by chance with probability e⁻ⁿ.
    certain = max(bounds.min_images, math.ceil(-math.log1p(-level)))
    silent = [
        unit
        for unit, (members, _) in zip((*judged, *together), (*units, *pooled), strict=True)
        if not any(predicted[index] for index in members)
    ]
    for never in (
        [unit for unit in silent if unit.images >= certain],
        [*(unit for unit in silent if unit.images < certain), *unseen],
    ):
        if never:
            yield NeverPredicted(tuple(sorted(never, key=lambda unit: -unit.images)), certain)

    if few:
        without = sum(images[index] == 0 for index in few)
        worst_first = tuple(sorted(together, key=lambda unit: unit.recall))
        yield TooFewImages(tuple(names[index] for index in few), without, len(names), bounds.min_images, worst_first)


def _judge(
    units: Sequence[tuple[list[int], str]], images: Sequence[int], right: Sequence[int], level: float
) -> list[Judged]:
    """Return each unit, the indices of its classes and its name, with its recall and the interval of that."""
    seen = [sum(images[index] for index in members) for members, _ in units]
    hits = [sum(right[index] for index in members) for members, _ in units]
    rows = torch.tensor(seen, dtype=torch.float64)
    bounds = wilson_interval(torch.tensor(hits, dtype=torch.float64) / rows, rows, level).tolist()
    return [
        Judged(name, number, hit, low, high, len(members))
        for (members, name), number, hit, (low, high) in zip(units, seen, hits, bounds, strict=True)
    ]


def _together(few: Sequence[int], groups: Hierarchy) -> list[tuple[list[int], str]]:
    """Return the classes of each group among `few`, with the name of the group."""
    members: list[list[int]] = [[] for _ in range(groups.num_groups)]
    for index in few:
        members[groups.groups[index]].append(index)
    names = groups.coarse_names or [f"group {number}" for number in range(groups.num_groups)]
    return [(group, name) for group, name in zip(members, names, strict=True) if group]


def _overfitting(
    accuracy: float, images: int, train_accuracy: float | None, val_accuracy: float | None, bounds: Bounds
) -> Iterator[Finding]:
    if train_accuracy is None:
        return
    held_out, split = (accuracy, "test") if val_accuracy is None else (val_accuracy, "validation")
    # The test images are few enough to be lucky or unlucky; how many a given validation accuracy had is not known.
    beyond = train_accuracy > (_interval(round(accuracy * images), images, bounds.level)[1] if split == "test" else 0)
    if train_accuracy - held_out > bounds.overfitting_gap and beyond:
        yield Overfitting(train_accuracy, held_out, split)


def _leakage(leaks: Leaks | Sequence[Leak]) -> Iterator[Finding]:
    if leaks:
        exact = [leak for leak in leaks if leak.exact]
        near = [leak for leak in leaks if not leak.exact]
        blank = len(getattr(leaks, "blank", ()))
        yield Leakage(len(exact), len(near), tuple(leak.images for leak in (*exact, *near)[:_EXAMPLES]), blank)


def _misses(counts: ReportCounts, k: int, num_classes: int, bounds: Bounds) -> Iterator[Finding]:
    """Say whether the misses are near misses, where the interval of their share is clear about it."""
    images, right, within = (int(part.sum()) for part in (counts.support, counts.within(1), counts.within(k)))
    missed, nearly = images - right, within - right
    # A random order puts the true class, which is not first, at rank 2 … k with probability (k − 1)/(C − 1).
    chance = (k - 1) / (num_classes - 1)
    if not missed:
        return
    bound = chance + bounds.neighbour_share * (1 - chance)
    low, high = _interval(nearly, missed, bounds.level)
    numbers = (right / images, within / images, k, missed, nearly, chance)
    if low > bound and right / images < bounds.high_accuracy:
        yield ConfusesNeighbours(*numbers)
    elif high < bound and right / images <= bounds.low_accuracy:
        yield NotLearned(*numbers)


def _interval(right: int, images: int, level: float) -> tuple[float, float]:
    fraction = torch.tensor(right / images, dtype=torch.float64)
    low, high = wilson_interval(fraction, torch.tensor(float(images), dtype=torch.float64), level).tolist()
    return low, high
