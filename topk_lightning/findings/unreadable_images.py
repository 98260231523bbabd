"""Images that could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count, some

__all__ = ["UnreadableImages"]


@dataclass(frozen=True)
class UnreadableImages(Finding):
    """Images that could not be read, of which no number knows.

    Attributes:
        names: what they are called.
    """

    names: tuple[str, ...]
    severity = "warning"

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where there is such an image."""
        if evidence.unreadable:
            yield cls(tuple(evidence.unreadable))

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        verb = "is" if len(self.names) == 1 else "are"
        return f"{count(len(self.names), 'image')} could not be read, and {verb} left out: {some(self.names)}."
