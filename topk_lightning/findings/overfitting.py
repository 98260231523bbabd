"""Accuracy on the training images far above that on images held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import percent

__all__ = ["Overfitting"]


@dataclass(frozen=True)
class Overfitting(Finding):
    """Accuracy on the training images that is more than `overfitting_gap` above that on images held out.

    Attributes:
        train_accuracy: accuracy on the training images.
        held_out_accuracy: accuracy on images held out.
        split: where the latter was measured, "validation" or "test".
    """

    train_accuracy: float
    held_out_accuracy: float
    split: str
    severity = "warning"
    thresholds: ClassVar[Mapping[str, float]] = {"overfitting_gap": 0.10}

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding; against the test also the bound of its interval must be passed."""
        train, val, accuracy = evidence.train_accuracy, evidence.val_accuracy, evidence.accuracy
        if train is None:
            return
        held_out, split = (accuracy, "test") if val is None else (val, "validation")
        # The test images are few enough to be lucky or unlucky; how many a given validation accuracy had is not known.
        right = int(evidence.counts.histogram[0])
        beyond = train > (evidence.interval(right, evidence.total)[1] if split == "test" else 0)
        if train - held_out > evidence.thresholds["overfitting_gap"] and beyond:
            yield cls(train, held_out, split)

    @property
    def gap(self) -> float:
        """Difference of the two."""
        return self.train_accuracy - self.held_out_accuracy

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"Overfitting: the accuracy on training images is {percent(self.train_accuracy)}, on {self.split} images "
            f"{percent(self.held_out_accuracy)}, {100 * self.gap:.0f} points lower."
        )
