"""Two classes that could be one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from topk_lightning.decisions import pairs_to_merge
from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import percent

__all__ = ["ClassesToMerge"]


@dataclass(frozen=True)
class ClassesToMerge(Finding):
    """Two classes that are told apart no better than by a coin.

    Wilson's 95 % interval of the share named right among their images that are named as either reaches down to a half, and
    one name for both would add at least `merge_gain` to the accuracy.

    Attributes:
        first: name of a class.
        second: name of the other.
        confused: images taken for the other of the two.
        right: images of the two that are named right.
        accuracy: of all images, as it is.
        merged: of all images, with one name for both.
    """

    first: str
    second: str
    confused: int
    right: int
    accuracy: float
    merged: float
    severity = "good to know"
    thresholds: ClassVar[Mapping[str, float]] = {"merge_gain": 0.01}

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the pair that gains most."""
        bound, names = evidence.thresholds["merge_gain"], evidence.names
        pairs = pairs_to_merge(evidence.counts.pairs, evidence.total, most=20, least=max(2, evidence.min_images))
        for pair in [pair for pair in pairs if pair.is_guessed and pair.gain >= bound][:1]:
            yield cls(names[pair.first], names[pair.second], pair.confused, pair.right, pair.accuracy, pair.merged)

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f'"{self.first}" and "{self.second}" are told apart no better than by a coin ({self.right} right, {self.confused} '
            f"taken for the other): one name for both would make the accuracy {percent(self.merged)} instead of "
            f"{percent(self.accuracy)}."
        )
