"""Labels that look wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count, percent

__all__ = ["SuspectLabel", "WrongLabels"]


class SuspectLabel(NamedTuple):
    """An image that a classifier confidently calls something else than its label, with the probabilities of both."""

    image: str
    label: str
    suggested: str
    probability: float
    suggested_probability: float


@dataclass(frozen=True)
class WrongLabels(Finding):
    """Labels that a classifier is sure are wrong; it may be wrong itself.

    Such an image has another class as its first guess, with a probability of at least `suspect_probability`, and its label
    a tenth of the rest at most.

    Attributes:
        images: of the test.
        suspects: those images, the least probable label first.
    """

    images: int
    suspects: tuple[SuspectLabel, ...]
    severity = "good to know"
    thresholds: ClassVar[Mapping[str, float]] = {"suspect_probability": 0.9}

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where there are such labels."""
        bound = evidence.thresholds["suspect_probability"]
        suspects = tuple(
            suspect
            for suspect in evidence.suspects
            if suspect.suggested_probability >= bound and suspect.probability <= (1 - bound) / 10
        )
        if suspects:
            yield cls(evidence.total, suspects)

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        first = self.suspects[0]
        looks = "label looks" if len(self.suspects) == 1 else "labels look"
        return (
            f"{len(self.suspects)} of {count(self.images, 'image')}: the {looks} wrong, or the classifier is surely wrong. "
            f'First {first.image}, labelled "{first.label}", named "{first.suggested}" with {percent(first.suggested_probability)}.'
        )
