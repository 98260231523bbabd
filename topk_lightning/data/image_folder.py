"""ImageFolderDataModule: your own images, one folder a class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule

from topk_lightning._checks.data import BadImageWarning, check_fractions, empty_after_skipping, skipped_sentence
from topk_lightning._checks.options import check_choice
from topk_lightning.data.augmentation import Augmentation
from topk_lightning.data.base import ImageDataModuleBase, first_process
from topk_lightning.data.folder_layout import class_folders, find_files, has_splits, split_files
from topk_lightning.data.samples import FileSamples, Samples

__all__ = ["ImageFolderDataModule", "ImageFolderDataModuleBase"]


class ImageFolderDataModuleBase(ImageDataModuleBase):
    """What :class:`ImageFolderDataModule` does, for a LightningDataModule of either name."""

    def __init__(
        self,
        root: str | Path,
        image_size: int = 224,
        batch_size: int = 32,
        num_workers: int = 0,
        *,
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        augment: Augmentation = "photos",
        on_bad_image: str = "raise",
        statistics: str | Sequence[Sequence[float]] | None = None,
        resize: str = "crop",
        seed: int = 0,
    ) -> None:
        super().__init__(
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            resize=resize,
            statistics=statistics,
            seed=seed,
        )
        self.root = Path(root)
        self.val_fraction, self.test_fraction = check_fractions(val_fraction, test_fraction)
        self.on_bad_image = check_choice("on_bad_image", on_bad_image, ("raise", "skip"))
        self._names: list[str] | None = None

    @property
    def class_names(self) -> list[str]:
        """Name of each class folder, sorted; known before `setup`."""
        if self._names is None:
            self._names = class_folders(self.root)
        return list(self._names)

    def _find_samples(self) -> dict[str, Samples]:
        names = self.class_names
        if has_splits(self.root):
            return dict(find_files(self.root, names))
        return dict(split_files(self.root, names, self.val_fraction, self.test_fraction, self.seed))

    def _without(self, split: str, samples: Samples, unreadable: dict[int, Any]) -> Samples:
        if self.on_bad_image == "raise":
            return super()._without(split, samples, unreadable)
        kept = [index for index in range(len(samples.targets)) if index not in unreadable]
        targets = tuple(samples.targets[index] for index in kept)
        for label in sorted({samples.targets[index] for index in unreadable} - set(targets)):
            if split == "train" or not targets:
                raise empty_after_skipping(split, self.class_names[label])
        bad = [samples.names[index] for index in unreadable]
        self.skipped += bad
        return FileSamples(self.root, tuple(samples.names[index] for index in kept), targets)

    def setup(self, stage: str | None = None) -> None:
        """Find the images, read each once, measure the statistics and look for leakage; all stages at once."""
        first = self._preprocessing is None
        super().setup(stage)
        if first and self.skipped and first_process():
            warnings.warn(skipped_sentence(self.skipped), BadImageWarning, stacklevel=2)


class ImageFolderDataModule(ImageFolderDataModuleBase, LightningDataModule):
    """Load images from folders, one folder a class, in one of two layouts.

    - ``root/<class>/*``: the images of each class are split among training, validation and test, at random from
      `seed`, each class in the same proportions.
    - ``root/{train,val,test}/<class>/*``: the splits are those of the folders, each with the same classes.

    `setup` reads every image once: it finds what cannot be decoded, measures mean and standard deviation of the
    training images exactly, and warns about images that stand in more than one split (compared by their decoded
    pixels). Batches are (images, target): images float (N, 3, S, S), normalised; target int64 (N,).

    Transparent images come on white, grey and CMYK ones as RGB, photos upright as their EXIF says, and of a moving
    image the first frame. Files that start with a dot, and files that are no images by their suffix, are left out.

    Args:
        root: the folder.
        image_size: side S of the images in pixels.
        batch_size: images a batch, for each process.
        num_workers: processes that prepare batches; 0 prepares them in the main process.
        val_fraction: fraction of each class for validation, in (0, 1); for the first layout.
        test_fraction: fraction of each class for the test, in (0, 1); for the first layout.
        augment: "photos" (random cut, mirror, colour), "drawings", "none", or a callable from a uint8 tensor
            (3, S, S) to another, such as a torchvision v2 transform.
        on_bad_image: "raise", or "skip": leave unreadable images out, list them in `skipped`, and warn once.
        statistics: mean and standard deviation per channel to normalise with, or "imagenet" for a network that was
            pretrained on it; None: measured.
        resize: "crop" (shorter side to S, then the centre) or "stretch".
        seed: seed of the split and of the order of the training images.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        FileNotFoundError: a missing folder.
        ValueError: one class only, an empty class, an unreadable image, or fractions that leave nothing.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name, colour in (("blue", 200), ("grey", 90)):
        ...     (root / name).mkdir()
        ...     for shade in range(10):
        ...         Image.new("RGB", (8, 8), (90, 90, colour + shade)).save(root / name / f"{shade}.png")
        >>> data = ImageFolderDataModule(root, image_size=8, batch_size=4)
        >>> data.class_names
        ['blue', 'grey']
        >>> print(data.describe())
        2 classes, 20 images (12 train, 4 val, 4 test) at 8×8 pixels; smallest class: blue (6 to train on)
    """
