"""What the images missed at top 1 say: neighbours are confused, or the classes are not learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from topk_lightning.findings._evidence import LOW_ACCURACY, Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count, percent

__all__ = ["ConfusesNeighbours", "Misses", "NotLearned"]


@dataclass(frozen=True)
class Misses(Finding):
    """What the images missed at top 1 say.

    A miss is near if the true class stands at rank 2 … k, where a random order of the other classes puts it with
    probability (k − 1)/(C − 1). The share of near misses is high or low by where its interval lies against the point
    `neighbour_share` of the way from there to 1. Below an accuracy of `confused_accuracy` a high one is said, up to
    `low_accuracy` a low one.

    Attributes:
        accuracy: top-1 accuracy.
        topk_accuracy: top-k accuracy.
        k: how many classes count as best.
        missed: images missed at top 1.
        nearly: those of them with the true class at rank 2 … k.
        chance: share of them that a random order of the other classes would put there.
    """

    accuracy: float
    topk_accuracy: float
    k: int
    missed: int
    nearly: int
    chance: float
    thresholds: ClassVar[Mapping[str, float]] = {
        "neighbour_share": 1 / 3,
        "confused_accuracy": 0.80,
        "low_accuracy": LOW_ACCURACY,
    }

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield one of the two kinds, where the interval of the share of near misses is clear about it."""
        k, num_classes, histogram = evidence.k, len(evidence.names), evidence.counts.histogram
        images, right, within = (int(part.sum()) for part in (histogram, histogram[0], histogram[:k]))
        missed, nearly = images - right, within - right
        if not missed or not 1 < k < num_classes:
            return
        chance = (k - 1) / (num_classes - 1)
        bound = chance + evidence.thresholds["neighbour_share"] * (1 - chance)
        low, high = evidence.interval(nearly, missed)
        numbers = (right / images, within / images, k, missed, nearly, chance)
        if low > bound and right / images < evidence.thresholds["confused_accuracy"]:
            yield ConfusesNeighbours(*numbers)
        elif high < bound and right / images <= evidence.thresholds["low_accuracy"]:
            yield NotLearned(*numbers)

    def _near_misses(self) -> str:
        have = "has" if self.nearly == 1 else "have"
        return (
            f"{self.nearly} ({percent(self.nearly / self.missed)}) {have} the true class among the {self.k} best, where "
            f"chance would put {percent(self.chance)} of them"
        )


@dataclass(frozen=True)
class ConfusesNeighbours(Misses):
    """Many misses are near misses: the true class stands at rank 2 … k; the numbers are those of :class:`Misses`."""

    severity = "good to know"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return f"It confuses neighbours: of {count(self.missed, 'missed image')}, {self._near_misses()}."


@dataclass(frozen=True)
class NotLearned(Misses):
    """A low accuracy whose misses are no near misses; the numbers are those of :class:`Misses`."""

    severity = "serious"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"It has not learned the classes: the accuracy is {percent(self.accuracy)}, and of "
            f"{count(self.missed, 'missed image')} only {self._near_misses()}."
        )
