"""Images whose scores hold a NaN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count

__all__ = ["NanScores"]


@dataclass(frozen=True)
class NanScores(Finding):
    """Images whose scores hold a NaN.

    Attributes:
        rows: how many.
        images: test images.
    """

    rows: int
    images: int
    severity = "serious"

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where there is such an image."""
        if evidence.counts.nan_rows:
            yield cls(int(evidence.counts.nan_rows), evidence.total)

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"{self.rows} of {count(self.images, 'image')} got a score that is not a number (NaN); they have no predicted "
            "class and count as missed."
        )
