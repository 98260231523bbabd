"""TorchvisionDataModule: any data set of torchvision by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topk_lightning._checks.options import check_fraction
from topk_lightning.data._augmentation import Augmentation
from topk_lightning.data._random_split import complete_splits
from topk_lightning.data._torchvision_sets import SetSamples, build_splits, targets_of
from topk_lightning.data._twins import lightning_data_module
from topk_lightning.data.base import ImageDataModuleBase
from topk_lightning.data.class_names import find_class_names
from topk_lightning.data.samples import Samples

__all__ = ["TorchvisionDataModule"]


@lightning_data_module
class TorchvisionDataModule(ImageDataModuleBase):
    """Load a data set of torchvision: its own splits, and what it lacks from its training images at random.

    Validation is taken from the training images, `val_fraction` of each class, where the set has none; a test,
    `test_fraction`, where it has neither. The split depends on `seed` alone.

    Args:
        name: of a class of torchvision.datasets whose items are (PIL image, class index): "FashionMNIST", "CIFAR100",
            "Flowers102".
        root: the folder that torchvision keeps the set in.
        image_size: side S of the images in pixels.
        batch_size: images a batch, for each process.
        num_workers: processes that prepare batches; None: as many as suit the number of images.
        download: fetch what is missing; otherwise no connection is opened.
        options: further arguments of the data set, such as {"split": "balanced"} for EMNIST.
        val_fraction: fraction of each class for validation, in (0, 1).
        test_fraction: fraction of each class for the test, in [0, 1).
        augment: "none", "photos" (mirrors, which digits do not bear), "drawings", or a callable from uint8 (3, S, S) to the same.
        statistics: mean and standard deviation per channel, or "imagenet"; None: measured.
        resize: "crop", "stretch", or the length of the shorter side before the centre.
        interpolation: "bilinear" or "bicubic".
        seed: seed of the split and of the order of the training images.
        check_images: look at every image before training; False asks for `statistics`.

    Raises:
        FileNotFoundError: no such files, and no leave to download them.
        ValueError: no data set of this name.
    """

    def __init__(
        self,
        name: str,
        root: str | Path = "data",
        image_size: int = 224,
        batch_size: int = 32,
        num_workers: int | None = None,
        *,
        download: bool = False,
        options: Mapping[str, Any] | None = None,
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        augment: Augmentation = "none",
        statistics: str | Sequence[Sequence[float]] | None = None,
        resize: str | int = "crop",
        interpolation: str = "bilinear",
        seed: int = 0,
        check_images: bool = True,
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
            check_images=check_images,
        )
        self.name, self.root, self.download = name, Path(root), download
        self.options = dict(options or {})
        self.val_fraction = check_fraction("val_fraction", val_fraction)
        self.test_fraction = check_fraction("test_fraction", test_fraction)
        self._sets: dict[str, Any] = {}
        self._names: list[str] | None = None

    def prepare_data(self) -> None:
        """Fetch the files, where that was asked for."""
        self._data_sets()

    @property
    def class_names(self) -> list[str]:
        """Name of each class as the data set has it, else its index as text; the files must be there."""
        if self._names is None:
            train = self._data_sets()["train"]
            names = find_class_names(train)
            self._names = names or [str(index) for index in range(max(targets_of(train)) + 1)]
        return list(self._names)

    def _data_sets(self) -> dict[str, Any]:
        if not self._sets:
            self._sets = build_splits(str(self.name), self.root, self.options, self.download)
        return self._sets

    def _find_samples(self) -> dict[str, Samples]:
        sets = self._data_sets()
        targets = {split: targets_of(dataset) for split, dataset in sets.items()}
        items = {f"{split}/{item:07}": item for split in sets for item in range(len(targets[split]))}
        files = {split: [(f"{split}/{item:07}", index) for item, index in enumerate(targets[split])] for split in sets}
        splits = complete_splits(files, self.class_names, self.root, self.val_fraction, self.test_fraction, self.seed)
        parts: dict[str, Samples] = {}
        for split, part in splits.items():
            home = part[0][0].partition("/")[0] if part else "train"
            names, indices = (tuple(column) for column in zip(*part, strict=True)) if part else ((), ())
            parts[split] = SetSamples(sets[home], tuple(items[name] for name in names), names, indices)
        return parts
