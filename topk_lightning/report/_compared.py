"""Two models side by side: all that the sections of the page of a comparison are written from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from topk_lightning.decisions import PairedComparison, ScoresComparison, SeedsComparison, SeedsDifference
from topk_lightning.scores import Scores

__all__ = ["Compared", "p_text", "signed"]


@dataclass(frozen=True)
class Compared:
    """What a comparison came to.

    Args:
        names: what the two are called.
        first: scores of the first, one a seed.
        second: scores of the second.
        pairs: the comparison of each pair of seeds.
        seeds: what they come to together; None for one network a side.
        picture: returns an image by its name; None where there is nothing to show.
        listed: how many images won and lost are shown of each.
        facts: how the page was made, each with its heading.
    """

    names: tuple[str, str]
    first: Sequence[Scores]
    second: Sequence[Scores]
    pairs: Sequence[ScoresComparison]
    seeds: SeedsComparison | None
    picture: Callable[[str], Image.Image | None]
    listed: int
    facts: Sequence[tuple[str, str]]

    @property
    def pair(self) -> ScoresComparison:
        """The first pair."""
        return self.pairs[0]

    @property
    def by_k(self) -> dict[int, PairedComparison] | dict[int, SeedsDifference]:
        """What is said at each k: of the pair, or of all pairs of seeds."""
        return self.pair.by_k if self.seeds is None else self.seeds.by_k

    @property
    def k(self) -> int:
        """The smallest k, of which images and classes are told."""
        return min(self.by_k)

    @property
    def right(self) -> str:
        """What "right" means at the smallest k."""
        return "named right" if self.k == 1 else f"among the first {self.k}"


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign; "–" where it is not defined.

    Examples:
        >>> signed(0.0312), signed(-0.5, 1), signed(float("nan"))
        ('+0.031', '−0.5', '–')
    """
    return f"{value:+,.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def p_text(p: float) -> str:
    """Return a p for people.

    Examples:
        >>> p_text(0.0312), p_text(1e-7)
        ('0.031', 'below 0.001')
    """
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
