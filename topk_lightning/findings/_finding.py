"""What every finding has: a severity, a sentence, and a rule that says when it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from topk_lightning.findings._evidence import Evidence

__all__ = ["SEVERITIES", "Finding"]

SEVERITIES = ("serious", "warning", "good to know")


class Finding:
    """Something a person should know about a classifier or about its data.

    A subclass is a frozen dataclass with the numbers that led to it.

    Attributes:
        thresholds: the numbers of its rule with their defaults, which :func:`findings` takes by these names.
    """

    thresholds: ClassVar[Mapping[str, float]] = {}

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where the numbers of a test show it."""
        raise NotImplementedError

    @property
    def severity(self) -> str:
        """How much it matters: "serious", "warning" or "good to know"."""
        raise NotImplementedError

    @property
    def sentence(self) -> str:
        """The finding in plain English; names of classes and files stand in it as they are, so escape them."""
        raise NotImplementedError
