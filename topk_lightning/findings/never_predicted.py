"""Classes that were not predicted once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import ClassRecall, Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count, some

__all__ = ["NeverPredicted"]


@dataclass(frozen=True)
class NeverPredicted(Finding):
    """Classes or groups with images that were not predicted once.

    A class named as often as it has images, n times on average, is missed by chance with probability e⁻ⁿ.

    Attributes:
        never: the classes or groups, most images first.
        min_images: images from which on chance is no explanation.
    """

    never: tuple[ClassRecall, ...]
    min_images: int

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield those that chance does not explain, and those that it may explain."""
        certain = max(evidence.min_images, math.ceil(-math.log1p(-evidence.shared_level)))
        silent = [unit for unit in evidence.judged if not unit.predicted]
        rare = [unit for unit in evidence.rare([i for i in evidence.few if evidence.images[i]]) if not unit.predicted]
        for never in (
            [unit for unit in silent if unit.images >= certain],
            [*(unit for unit in silent if unit.images < certain), *rare],
        ):
            if never:
                yield cls(tuple(sorted(never, key=lambda unit: -unit.images)), certain)

    @property
    def severity(self) -> str:
        """How much it matters: "serious", or "good to know" where each has so few images that it may be chance."""
        return "serious" if self.never[0].images >= self.min_images else "good to know"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        names = [f'"{unit.name}" ({count(unit.images, "image")})' for unit in self.never]
        chance = "" if self.severity == "serious" else " With so few images each this may be chance."
        return f"Never predicted, not even once: {some(names)}.{chance}"
