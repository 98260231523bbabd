"""EmojiDataModule: real drawings of several vendors, embedded in the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from topk_lightning._checks.options import check_choice
from topk_lightning.data._augmentation import Augmentation
from topk_lightning.data._emoji_choice import check_classes, check_vendors
from topk_lightning.data._twins import lightning_data_module
from topk_lightning.data.base import ImageDataModuleBase
from topk_lightning.data.emoji_sheet import EMBEDDED_SHEET, load_sheet, read_index
from topk_lightning.data.samples import PixelSamples, Samples

__all__ = ["EmojiDataModule"]

# Two renderings of the same drawings: on two sides of a split, one would give the other away.
_SAME_DRAWINGS = ("fluent-emoji", "fluent-emoji-flat")


@lightning_data_module
class EmojiDataModule(ImageDataModuleBase):
    """Load the embedded emoji: one class is one emoji, its samples are the drawings of several vendors.

    462 classes, seven vendors, 64×64 RGB on white. Training sees five vendors, validation another (noto-v1) and the
    test the last (emojione), so that a test score says how well unseen drawings are named.

    Batches are (images, target): images float (N, 3, S, S), normalised with the statistics of the training images;
    target int64 (N,).

    Args:
        image_size: side S of the images in pixels.
        batch_size: images a batch, for each process.
        num_workers: processes that prepare batches; 0 prepares them in the main process.
        augment: "drawings" (rotation, shift, scale, shear, colour), "photos", "none", or a callable from a uint8
            tensor (3, S, S) to another, such as a torchvision v2 transform.
        classes: which emoji: None for all, a number for so many spread over the categories, or a list of names of
            emoji, subcategories or categories.
        train_vendors: whose drawings to train on; None: those that validation and test do not use.
        val_vendors: whose drawings to validate on; None: noto-v1.
        test_vendors: whose drawings to test on; None: emojione.
        statistics: mean and standard deviation per channel to normalise with, or "imagenet" for a network that was
            pretrained on it; None: those of the network's published weights, or measured.
        resize: "crop" or "stretch"; the same for the square images of the embedded sheet.
        interpolation: "bilinear" or "bicubic".
        seed: seed of the order of the training images.
        sheet: another sheet that `topk_lightning.data.build_emoji_sheet` built; None: the embedded one.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        ValueError: an unknown class or vendor, a vendor in two splits, or the two fluent sets in different splits.

    Examples:
        >>> data = EmojiDataModule(classes=["food-fruit"], batch_size=4)
        >>> data.num_classes, data.class_names[:3]
        (14, ['grapes', 'melon', 'watermelon'])
        >>> print(data.describe())
        14 classes, 98 images (70 train, 14 val, 14 test) at 64×64 pixels; smallest class:
        grapes (5 to train on)
        >>> images, target = next(iter(data.val_dataloader()))
        >>> tuple(images.shape), target.tolist()
        ((4, 3, 64, 64), [0, 1, 2, 3])
    """

    _cuts_from_larger = False  # the drawings are resized once, when they are found

    def __init__(
        self,
        image_size: int = 64,
        batch_size: int = 64,
        num_workers: int = 0,
        *,
        augment: Augmentation = "drawings",
        classes: int | list[str] | None = None,
        train_vendors: list[str] | None = None,
        val_vendors: list[str] | None = None,
        test_vendors: list[str] | None = None,
        statistics: str | Sequence[Sequence[float]] | None = None,
        resize: str = "crop",
        interpolation: str = "bilinear",
        seed: int = 0,
        sheet: str | None = None,
    ) -> None:
        super().__init__(
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            resize=resize,
            interpolation=interpolation,
            statistics=statistics,
            seed=seed,
        )
        check_choice("resize", resize, ("crop", "stretch"))
        self.classes, self.sheet = classes, sheet
        self.train_vendors, self.val_vendors, self.test_vendors = train_vendors, val_vendors, test_vendors
        self._sheet = EMBEDDED_SHEET if sheet is None else Path(sheet).absolute()
        index = read_index(self._sheet)
        self._classes: list[int] = check_classes(classes, index["classes"])
        self._entries = [index["classes"][number] for number in self._classes]
        known = [vendor for vendor, _ in index["drawn_by"]]
        val = ["noto-v1"] if val_vendors is None else list(val_vendors)
        test = ["emojione"] if test_vendors is None else list(test_vendors)
        rest = [vendor for vendor in known if vendor not in (*val, *test)]
        train = rest if train_vendors is None else list(train_vendors)
        self.vendors = {"train": train, "val": val, "test": test}
        check_vendors(self.vendors, known, _SAME_DRAWINGS)

    @property
    def class_names(self) -> list[str]:
        """Name of each emoji, in the order of the class indices, which is that of the Unicode standard."""
        return [entry["name"] for entry in self._entries]

    @property
    def coarse_names(self) -> dict[str, list[str]]:
        """Names of the groups of each coarser level: "subcategory" and "category"."""
        return {level: list(dict.fromkeys(e[level] for e in self._entries)) for level in ("subcategory", "category")}

    @property
    def fine_to_coarse(self) -> dict[str, list[int]]:
        """Group index of each class, for each coarser level: "subcategory" and "category"."""
        return {
            level: [names.index(entry[level]) for entry in self._entries] for level, names in self.coarse_names.items()
        }

    def _find_samples(self) -> dict[str, Samples]:
        return {split: self._samples_of(vendors) for split, vendors in self.vendors.items()}

    def _samples_of(self, vendors: Sequence[str]) -> PixelSamples:
        sheet = load_sheet(self._sheet)
        new_index: dict[int, int] = {old: new for new, old in enumerate(self._classes)}
        chosen = [
            (tile, new_index[old], vendor)
            for tile, (old, vendor) in enumerate(zip(sheet.class_indices.tolist(), sheet.vendors, strict=True))
            if vendor in vendors and old in new_index
        ]
        chosen.sort(key=lambda sample: sample[1])  # by class; stable, so by vendor within
        originals = sheet.tiles[torch.tensor([tile for tile, _, _ in chosen], dtype=torch.int64)]
        # Resized once here, not at every visit: the drawings fit in memory many times over.
        resize = self._resizing.resize_only()
        images: Any = originals if originals.shape[-1] == self.image_size else resize(originals)
        names = tuple(f"{self._entries[target]['name']} ({vendor})" for _, target, vendor in chosen)
        return PixelSamples(images, originals, names, tuple(target for _, target, _ in chosen))
