"""What a data module holds, in words and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from topk_lightning._repr import html_picture, html_table, html_text
from topk_lightning.data.image_files import left_out_kinds
from topk_lightning.drawing import NamedPicture, draw_picture, new_figure, png_of

__all__ = ["DataSummary", "summary_html"]

_SHOWN = 8  # pictures in a notebook


@dataclass(frozen=True)
class DataSummary:
    """Say how many classes and images there are; `str` of it is for people.

    Attributes:
        num_classes: number of classes C.
        images: images of each split.
        smallest_class: name of the class with the fewest training images (the first of several).
        smallest_class_images: how many it has.
        image_size: side of the images the network sees, in pixels.
        duplicates: groups of identical images that stand in more than one split.
        skipped: unreadable images that were left out.
        left_out: how many files are no images by their suffix, by suffix.
    """

    num_classes: int
    images: dict[str, int]
    smallest_class: str
    smallest_class_images: int
    image_size: int
    duplicates: int = 0
    skipped: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        class_names: list[str],
        targets: dict[str, list[int]],
        image_size: int,
        duplicates: int = 0,
        skipped: int = 0,
        left_out: Mapping[str, int] | None = None,
    ) -> DataSummary:
        """Count the samples of each split and find the smallest class."""
        counts = Counter(targets["train"])
        smallest = min(range(len(class_names)), key=lambda index: counts[index])
        images = {split: len(of_split) for split, of_split in targets.items()}
        name = class_names[smallest]
        return cls(
            len(class_names), images, name, counts[smallest], image_size, duplicates, skipped, dict(left_out or {})
        )

    def __str__(self) -> str:
        images = ", ".join(f"{count} {split}" for split, count in self.images.items() if count)
        text = (
            f"{self.num_classes} classes, {sum(self.images.values())} images ({images}) at {self.image_size}×"
            f"{self.image_size} pixels; smallest class: {self.smallest_class} ({self.smallest_class_images} to train on)"
        )
        if self.duplicates:
            stand = "1 image stands" if self.duplicates == 1 else f"{self.duplicates} images stand"
            text += f"; {stand} in more than one split"
        if self.skipped:
            text += f"; {self.skipped} unreadable image{'s' if self.skipped > 1 else ''} skipped"
        if self.left_out:
            text += f"; left out: {left_out_kinds(self.left_out)}"
        return text


def summary_html(data: Any) -> str:
    """Return what a data module holds for a notebook: a sentence, images of each class and split, some pictures."""
    counts = {split: data.class_counts(split) for split in ("train", "val", "test")}
    rows = [[name, *(of_split[index] for of_split in counts.values())] for index, name in enumerate(data.class_names)]
    targets = data.targets("train")
    chosen = range(0, len(targets), -(-len(targets) // _SHOWN))
    figure = new_figure(1.6 * len(chosen), 1.9)
    for position, (index, picture) in enumerate(zip(chosen, data.pictures("train", chosen), strict=True), 1):
        named = NamedPicture(picture, data.class_names[targets[index]], ())
        draw_picture(figure.add_subplot(1, len(chosen), position), named)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.86, wspace=0.06)  # room for the names
    pictures = html_picture(png_of(figure), "Some of the training images with their classes")
    return html_text(f"{data.describe()}.") + pictures + html_table(["class", *counts], rows)
