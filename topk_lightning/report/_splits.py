"""What a test knows of its data: the test images, and what lies beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from topk_lightning.data import Leak
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.report._labelled_images import LabelledImages

__all__ = ["MOST_COMPARED", "DataSplits"]

#: Images up to which all splits are read once more to look for near-duplicates.
MOST_COMPARED = 20_000


@dataclass(frozen=True)
class DataSplits:
    """The images of a test.

    Args:
        test: the images that are tested.
        description: what the data is, in one line.
        class_names: of the targets, in the order that the data has them; None where it does not say.
        validation: images to fit the temperature on, never the test's.
        training: images seen in training, as evaluation sees them.
        levels: groups of classes by the name of their level, from fine to coarse.
        leaks: images of one split that stand in another, or look almost like one there.
        skipped: why an image could not be read that the data module left out of any split, by its name.
    """

    test: LabelledImages
    description: str
    class_names: list[str] | None = None
    validation: LabelledImages | None = None
    training: LabelledImages | None = None
    levels: dict[str, Hierarchy] = field(default_factory=dict)
    leaks: Sequence[Leak] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def unreadable(self, images: LabelledImages, reasons: Mapping[int, str]) -> dict[str, str]:
        """Return why an image could not be read, by its name: of some, and what the data module left out of any split."""
        return {**self.skipped, **{images.name(index): reason for index, reason in reasons.items()}}
