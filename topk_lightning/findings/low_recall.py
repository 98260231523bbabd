"""Classes that are recognised rarely, and an accuracy that hides them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from topk_lightning.findings._evidence import LOW_RECALL, ClassRecall, Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import percent, some

__all__ = ["AccuracyParadox", "LowRecall"]


@dataclass(frozen=True)
class LowRecall(Finding):
    """Classes or groups that are recognised rarely, also when compared with all images.

    The whole interval of the recall lies below `low_recall`, and below the accuracy. From an accuracy of `high_accuracy`
    on it is an :class:`AccuracyParadox`.

    Attributes:
        accuracy: share of all images that were recognised.
        low_recall: the bound that the recalls lie below, interval and all.
        weakest: the classes or groups, lowest recall first.
    """

    accuracy: float
    low_recall: float
    weakest: tuple[ClassRecall, ...]
    severity = "warning"
    thresholds: ClassVar[Mapping[str, float]] = {"low_recall": LOW_RECALL, "high_accuracy": 0.80}

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding, of this class or an accuracy paradox."""
        bound, accuracy = evidence.thresholds["low_recall"], evidence.accuracy
        weak = [unit for unit in evidence.judged if unit.high < min(bound, accuracy)]
        if weak:
            kind = AccuracyParadox if accuracy >= evidence.thresholds["high_accuracy"] else LowRecall
            yield kind(accuracy, bound, tuple(sorted(weak, key=lambda unit: unit.recall)))

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return f"Recognised less often than the {percent(self.accuracy)} of all images: {some(self.weakest)}."


@dataclass(frozen=True)
class AccuracyParadox(LowRecall):
    """A high accuracy that hides classes or groups of low recall; the numbers are those of :class:`LowRecall`."""

    severity = "serious"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"The accuracy is {percent(self.accuracy)}, but it hides what is recognised far less often: "
            f"{some(self.weakest)}."
        )
