"""Test images that the training has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count, percent

__all__ = ["TrainedOn"]


@dataclass(frozen=True)
class TrainedOn(Finding):
    """Test images with the very pixels of images that the model was trained on.

    Attributes:
        seen: how many.
        images: test images.
    """

    seen: int
    images: int
    severity = "serious"

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where there is such an image."""
        if evidence.trained_on:
            yield cls(evidence.trained_on, evidence.total)

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        verb = "was" if self.seen == 1 else "were"
        return (
            f"Trained on: {self.seen} of {count(self.images, 'tested image')} ({percent(self.seen / self.images)}) {verb} "
            "among the images of the training. Numbers measured on them flatter the model."
        )
