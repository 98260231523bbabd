"""The labelled images of one split, kept as files or as pixels, and the data set a loader draws from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from topk_lightning.data.images import load_image

__all__ = ["FileSamples", "ImageDataset", "PixelSamples", "Samples"]


class Samples(Protocol):
    """Labelled images of one split: their names, their classes, and each image."""

    @property
    def names(self) -> Sequence[str]:
        """One name a sample, for people: a path, or what was drawn by whom."""

    @property
    def targets(self) -> Sequence[int]:
        """Class index of each sample."""

    def image(self, index: int) -> Image.Image | Tensor:
        """Return one image as the transforms take it."""

    def picture(self, index: int) -> Image.Image:
        """Return one image as people see it, before any preprocessing."""


@dataclass(frozen=True)
class FileSamples:
    """Images in files, opened when they are asked for.

    Args:
        root: folder that the names are relative to.
        names: path of each file.
        targets: class index of each file.
        load: returns the image of a path for the transforms, such as :meth:`topk_lightning.Preprocessing.load`.
    """

    root: Path
    names: tuple[str, ...]
    targets: tuple[int, ...]
    load: Callable[[Path], Image.Image] = load_image

    def image(self, index: int) -> Image.Image:
        """Return one image as the transforms take it."""
        return self.load(self.root / self.names[index])

    def picture(self, index: int) -> Image.Image:
        """Return one image as it came, upright and RGB."""
        return load_image(self.root / self.names[index])


@dataclass(frozen=True)
class PixelSamples:
    """Images in memory: `images` at the size of training, `originals` as they came; both uint8 (N, 3, H, W)."""

    images: Tensor
    originals: Tensor
    names: tuple[str, ...]
    targets: tuple[int, ...]

    def image(self, index: int) -> Tensor:
        """Return one image as uint8 (3, H, W)."""
        return self.images[index]

    def picture(self, index: int) -> Image.Image:
        """Return one image as it came."""
        return Image.fromarray(self.originals[index].permute(1, 2, 0).contiguous().numpy())


class ImageDataset(Dataset[Any]):
    """Return (image, class index) of a sample, or the image alone, with a transform applied.

    Args:
        samples: the labelled images.
        transform: from an image of the samples to a tensor.
        with_target: whether the class index belongs to an item.
        classes: names of the classes, as torchvision's data sets have them.
    """

    def __init__(
        self,
        samples: Samples,
        transform: Callable[[Any], Tensor],
        with_target: bool = True,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.samples = samples
        self.transform = transform
        self.with_target = with_target
        self.classes = classes

    def __len__(self) -> int:
        return len(self.samples.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int] | Tensor:
        image = self.transform(self.samples.image(index))
        return (image, self.samples.targets[index]) if self.with_target else image
