"""Images that stand in more than one split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count

__all__ = ["Leakage"]

_EXAMPLES = 3


@dataclass(frozen=True)
class Leakage(Finding):
    """Images that stand in more than one split, or look almost like one in another split.

    Attributes:
        exact: groups of identical images.
        near: pairs of images from different splits that look almost the same.
        examples: some of them, each image as "split: name".
        blank: images of nearly one colour, which were only compared for being identical.
    """

    exact: int
    near: int
    examples: tuple[tuple[str, ...], ...]
    blank: int = 0

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where there is a leak."""
        if evidence.leaks:
            exact = [leak for leak in evidence.leaks if leak.exact]
            near = [leak for leak in evidence.leaks if not leak.exact]
            examples = tuple(leak.images for leak in (*exact, *near)[:_EXAMPLES])
            yield cls(len(exact), len(near), examples, len(getattr(evidence.leaks, "blank", ())))

    @property
    def severity(self) -> str:
        """How much it matters: "serious" for identical images, "warning" for similar ones."""
        return "serious" if self.exact else "warning"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        exact = f"{count(self.exact, 'image')} {'stands' if self.exact == 1 else 'stand'} in more than one split"
        look = "looks" if self.near == 1 else "look"
        near = f"{count(self.near, 'pair')} of images from different splits {look} almost the same"
        both = " and ".join([exact] * bool(self.exact) + [near] * bool(self.near))
        blank = f" {count(self.blank, 'image')} of nearly one colour could not be compared." if self.blank else ""
        example = " and ".join(self.examples[0])
        return f"Leakage: {both}, such as {example}. Numbers measured on them flatter the model.{blank}"
