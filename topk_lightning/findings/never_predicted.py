"""Classes that were not predicted once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from topk_lightning.findings._evidence import ClassRecall, Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import count, some

__all__ = ["NeverPredicted"]


@dataclass(frozen=True)
class NeverPredicted(Finding):
    """Classes or groups with images that were not predicted once.

    A class named as often as it has images, n times on average, is missed by chance with probability e⁻ⁿ. Classes that
    have too few images for that each are judged by their sum: see :func:`chance_of_silence`.

    Attributes:
        never: the classes or groups, most images first.
        by_chance: whether chance may explain it.
    """

    never: tuple[ClassRecall, ...]
    by_chance: bool = False

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield those that chance does not explain, and those that it may explain."""
        certain = max(evidence.min_images, math.ceil(-math.log1p(-evidence.shared_level)))
        alone = [unit for unit in evidence.judged if unit.classes == 1 and unit.images < certain]
        rare = [*alone, *evidence.rare([index for index in evidence.few if evidence.images[index]])]
        silent = [unit for unit in rare if not unit.predicted]
        sure = [unit for unit in evidence.judged if not unit.predicted and unit.images >= certain]
        # Many of few images each, of which only some are silent, show less than one of as many images.
        chance = chance_of_silence([unit.images for unit in rare], sum(unit.images for unit in silent))
        by_chance = sum(unit.images for unit in silent) < evidence.min_images or chance > 1 - evidence.shared_level
        for never, explained in ((sure, False), (silent, by_chance)):
            if never:
                yield cls(tuple(sorted(never, key=lambda unit: -unit.images)), explained)

    @property
    def severity(self) -> str:
        """How much it matters: "serious", or "good to know" where it may be chance."""
        return "good to know" if self.by_chance else "serious"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        names = [f'"{unit.name}" ({count(unit.images, "image")})' for unit in self.never]
        together = f", {sum(unit.images for unit in self.never):,} images together" if len(names) > 1 else ""
        chance = " With so few images this may be chance." if self.by_chance else ""
        return f"Never predicted, not even once: {some(names)}{together}.{chance}"


def chance_of_silence(images: Sequence[int], silent: int) -> float:
    """Return a bound on the probability that classes with `silent` images together are never predicted, by chance.

    Each class is predicted as often as it has images on average, and so not once with probability e⁻ⁿ; which of the
    classes are silent is not given beforehand. Chernoff's bound on the sum of their images, min over λ of
    e^(−λ silent) Π (1 + e⁻ⁿ (e^(λn) − 1)).
    """
    rate = torch.linspace(0, 1, 101, dtype=torch.float64).unsqueeze(1)
    numbers = torch.tensor(images, dtype=torch.float64)
    terms = torch.log1p((-numbers).exp() * torch.expm1(rate * numbers))
    return math.exp(float((terms.sum(1) - rate.squeeze(1) * silent).min()))
