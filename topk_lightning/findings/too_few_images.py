"""Classes that have too few test images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import ClassRecall, Evidence
from topk_lightning.findings._finding import Finding
from topk_lightning.findings._wording import some

__all__ = ["TooFewImages"]


@dataclass(frozen=True)
class TooFewImages(Finding):
    """Classes that have too few test images to be judged one by one.

    Attributes:
        names: their names, in the order of the class indices; those without any image are among them.
        without: how many of them have no image.
        num_classes: number of classes C.
        min_images: images from which on a class is judged by itself: with fewer, the interval of even a faultless class
            reaches below the bound of a low recall.
        groups: the groups that are judged in their place, lowest recall first.
    """

    names: tuple[str, ...]
    without: int
    num_classes: int
    min_images: int
    groups: tuple[ClassRecall, ...] = ()

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where a class has fewer images than it takes."""
        if evidence.few:
            names = tuple(evidence.names[index] for index in evidence.few)
            without = sum(evidence.images[index] == 0 for index in evidence.few)
            groups = tuple(sorted(evidence.together, key=lambda unit: unit.recall))
            yield cls(names, without, len(evidence.names), evidence.min_images, groups)

    @property
    def severity(self) -> str:
        """How much it matters: "warning" for more than half of the classes, or "good to know"."""
        return "warning" if 2 * len(self.names) > self.num_classes else "good to know"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        names = some([f'"{name}"' for name in self.names])
        which = f"All {self.num_classes} classes have"
        if len(self.names) < self.num_classes:
            verb = "has" if len(self.names) == 1 else "have"
            which = f"{len(self.names)} of {self.num_classes} classes ({names}) {verb}"
        none = f"; {self.without} of them {'has' if self.without == 1 else 'have'} none" if self.without else ""
        return f"{which} fewer than {self.min_images} test images, too few to judge one by one{none}.{self._together()}"

    def _together(self) -> str:
        if not self.groups:
            return ""
        if len(self.groups) == 1:
            return f" Taken together by their group: {self.groups[0]}."
        worst, best = self.groups[0], self.groups[-1]
        return f" Taken together they make {len(self.groups)} groups, from {worst} to {best}."
