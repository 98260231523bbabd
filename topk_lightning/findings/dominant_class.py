"""A class that takes most of the guesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import percent

__all__ = ["DominantClass"]


@dataclass(frozen=True)
class DominantClass(Finding):
    """A class that is the first guess far more often than it has images.

    Its share of the guesses is above `dominant_share`, and more than `dominant_excess` above its share of the images,
    both with its whole interval.

    Attributes:
        name: name of the class.
        predicted: images whose first guess it is.
        images: images of the class.
        total: all images.
    """

    name: str
    predicted: int
    images: int
    total: int
    severity = "serious"
    thresholds: ClassVar[Mapping[str, float]] = {"dominant_share": 0.50, "dominant_excess": 0.20}

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding for the class with most guesses."""
        predicted = evidence.counts.predicted.tolist()
        most = max(range(len(predicted)), key=predicted.__getitem__)
        low, _ = evidence.interval(predicted[most], evidence.total)
        above = evidence.images[most] / evidence.total + evidence.thresholds["dominant_excess"]
        if low > max(evidence.thresholds["dominant_share"], above):
            yield cls(evidence.names[most], predicted[most], evidence.images[most], evidence.total)

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f'"{self.name}" takes {percent(self.predicted / self.total)} of all guesses ({self.predicted:,} of '
            f"{self.total:,}), but only {percent(self.images / self.total)} of the images are of that class."
        )
