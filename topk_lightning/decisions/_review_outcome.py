"""What a review plan comes to on images whose class is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.metrics import wilson_interval

__all__ = ["PILES", "ReviewOutcome", "outcome_of"]

#: What becomes of a picture: its first guess is accepted, a list of the k best is shown, or a person sees it.
PILES = ("accept", "list", "person")


@dataclass(frozen=True)
class ReviewOutcome:
    """Count the three piles of a test.

    Attributes:
        images: N.
        accepted: images whose first guess is accepted.
        wrong: those of them that are wrong.
        listed: images that get a list.
        missed: those of them whose class is not on it.
        person: images that go to a person.
    """

    images: int
    accepted: int
    wrong: int
    listed: int
    missed: int
    person: int

    @property
    def error(self) -> float:
        """Accepted and wrong, as a share of all images."""
        return self.wrong / self.images if self.images else float("nan")

    @property
    def error_among_accepted(self) -> float:
        """Wrong, as a share of the accepted; NaN where none is."""
        return self.wrong / self.accepted if self.accepted else float("nan")

    def error_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return Wilson's interval of :attr:`error`: what other images of the same kind could have given."""
        bounds = wilson_interval(torch.tensor(self.error), torch.tensor(self.images), level)
        return float(bounds[0]), float(bounds[1])

    @property
    def sentence(self) -> str:
        """The piles in one sentence, for people who plan the work."""
        accepted, listed, person = (
            round(100 * part / self.images) for part in (self.accepted, self.listed, self.person)
        )
        right, on_list = self.accepted - self.wrong, self.listed - self.missed
        parts = []
        if self.accepted:
            parts.append(f"{accepted} of 100 pictures need nobody ({right:,} of {self.accepted:,} were right)")
        if self.listed:
            parts.append(f"for {listed} somebody picks from a list ({on_list:,} of {self.listed:,} had the name on it)")
        if not parts:
            return f"An expert must look at each of the {self.images:,} pictures."
        look = f"an expert must look at {person}" if self.person else "no expert is needed"
        first, *others = [*parts, look]
        said = ", and ".join([first, *others]) if len(others) == 1 else f"{first}, {others[0]}, and {others[1]}"
        said = said if self.accepted else f"Of 100 pictures, {said}"
        return f"{said}."


def outcome_of(piles: Tensor, wrong: Tensor, missed: Tensor) -> ReviewOutcome:
    """Return the counts of the piles (N,) of images whose first guess is wrong (N,) and whose class no list has (N,)."""
    accepted, listed = (piles == PILES.index(pile) for pile in PILES[:2])
    counts = (accepted.sum(), (accepted & wrong).sum(), listed.sum(), (listed & missed).sum())
    first, errors, second, misses = (int(count) for count in counts)
    return ReviewOutcome(len(piles), first, errors, second, misses, len(piles) - first - second)
