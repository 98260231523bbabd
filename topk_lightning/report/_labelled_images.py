"""Labelled images for a report: read once and in order, each with a name and a picture for people."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, default_collate

from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning.classifier import images_and_target
from topk_lightning.data import ImageDataset, file_digests, load_image, pixel_digest
from topk_lightning.prediction import TrainedModel

__all__ = ["Batch", "LabelledImages", "images_of_loader"]

#: What reading a file raises that is no picture, ends early or is gone.
_UNREADABLE = (OSError, SyntaxError, UserError, Image.DecompressionBombError)


class Batch(NamedTuple):
    """The images of a batch that could be read, as the loader's collate function returns them, and the others.

    Attributes:
        indices: of the images that could be read.
        content: (images, target); None where none could be read.
        unreadable: why an image could not be read, by its index.
    """

    indices: list[int]
    content: Any
    unreadable: dict[int, str]


@dataclass(frozen=True)
class LabelledImages:
    """Pairs (image, class index) that can be asked for by their index.

    Args:
        dataset: the pairs, images as the network takes them.
        name: says what an image is called, by its index.
        picture: returns an image as people see it, by its index; None where there is nothing to show.
        options: of the loader: batch_size, num_workers, collate_fn.
        skip_unreadable: leave images out that cannot be read, instead of raising.
        digests: returns the digests of the pixels of images by their indices; None where they come from no file.
    """

    dataset: Any
    name: Callable[[int], str]
    picture: Callable[[int], Image.Image | None]
    options: dict[str, Any]
    skip_unreadable: bool = True
    digests: Callable[[Sequence[int]], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def shown(self, index: int) -> Image.Image | None:
        """Return an image as people see it; None where there is nothing to show, or its file cannot be read here."""
        try:
            return self.picture(index)
        except _UNREADABLE:
            return None

    def batches(self, at_most: int | None = None) -> DataLoader[Batch]:
        """Return batches of all images in order, or of `at_most` images at even distances."""
        count = len(self)
        indices: Sequence[int] = range(count)
        if at_most is not None and count > at_most:
            indices = [number * count // at_most for number in range(at_most)]
        options = {name: value for name, value in self.options.items() if name != "collate_fn"}
        return DataLoader(
            _Numbered(self.dataset, indices, self.skip_unreadable),
            collate_fn=partial(_collate, self.options.get("collate_fn") or default_collate),
            pin_memory=torch.cuda.is_available(),
            **options,
        )


class _Numbered(Dataset[Any]):
    """Pairs of an index and what the data set has there, or why that cannot be read."""

    def __init__(self, dataset: Any, indices: Sequence[int], skip_unreadable: bool) -> None:
        self.dataset, self.indices, self.skip_unreadable = dataset, indices, skip_unreadable

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, numbers: Sequence[int]) -> list[tuple[int, Any]]:
        indices = [self.indices[number] for number in numbers]
        if hasattr(self.dataset, "__getitems__"):
            try:
                return list(zip(indices, self.dataset.__getitems__(indices), strict=True))
            except _UNREADABLE:
                if not self.skip_unreadable:
                    raise
        return [(index, self._item(index)) for index in indices]

    def _item(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except _UNREADABLE as error:
            if not self.skip_unreadable:
                raise
            reason = " ".join(f"{error}".split()) or type(error).__name__
            # The path stands at the beginning, the remedy at the end.
            return _Unreadable(reason if len(reason) <= 400 else f"{reason[:200]} … {reason[-200:]}")


class _Unreadable(str):
    """Why an image cannot be read."""

    __slots__ = ()


def _collate(collate: Callable[[list[Any]], Any], items: list[tuple[int, Any]]) -> Batch:
    unreadable = {index: str(item) for index, item in items if isinstance(item, _Unreadable)}
    readable = [(index, item) for index, item in items if index not in unreadable]
    content = collate([item for _, item in readable]) if readable else None
    return Batch([index for index, _ in readable], content, unreadable)


def images_of_loader(loader: DataLoader[Any], model: TrainedModel, skip_unreadable: bool = True) -> LabelledImages:
    """Return the images of any loader over a data set with a length, in the order of the data set, each once.

    Names and pictures are those of the files where the data set, or what a Subset or ConcatDataset is made of, has
    ``samples`` as torchvision's ImageFolder; otherwise an image is called by its number, and its picture is the tensor,
    with the normalisation of `model` undone.
    """
    dataset: Any = loader.dataset
    if not len(dataset):
        raise InvalidValueError(must("data", "hold at least one test image", "none"))
    options = {
        "batch_size": loader.batch_size or 32,
        "num_workers": loader.num_workers,
        "collate_fn": None if loader.batch_sampler is None else loader.collate_fn,  # without batches it converts only
    }

    def name(index: int) -> str:
        origin, at = _origin(dataset, index)
        if isinstance(origin, ImageDataset):
            return origin.samples.names[at]
        return str(_file(origin, at) or f"image {index + 1} of {len(dataset)}")

    def picture(index: int) -> Image.Image | None:
        origin, at = _origin(dataset, index)
        if isinstance(origin, ImageDataset):
            return origin.samples.picture(at)
        file = _file(origin, at)
        if file is not None:
            return load_image(file)
        row = dataset[index]
        return _picture_of(images_and_target(row)[0] if isinstance(row, Mapping) else row[0], model)

    def digests(indices: Sequence[int]) -> Tensor:
        origins = [_origin(dataset, index) for index in indices]
        of_images = [
            pixel_digest(origin.samples.image(at)) for origin, at in origins if isinstance(origin, ImageDataset)
        ]
        files = [file for origin, at in origins if (file := _file(origin, at)) is not None]
        size = 0 if model.preprocessing is None else model.preprocessing.image_size
        return torch.cat([torch.tensor(of_images, dtype=torch.int64), file_digests(files, size)])

    return LabelledImages(dataset, name, picture, options, skip_unreadable, digests)


def _origin(dataset: Any, index: int) -> tuple[Any, int]:
    """Return the data set that an image comes from, below any Subset and ConcatDataset, and its index there."""
    while isinstance(dataset, Subset | ConcatDataset):
        if isinstance(dataset, Subset):
            dataset, index = dataset.dataset, dataset.indices[index]
        else:
            part = bisect_right(dataset.cumulative_sizes, index)
            dataset, index = dataset.datasets[part], index - ([0, *dataset.cumulative_sizes][part])
    return dataset, index


def _file(dataset: Any, index: int) -> str | Path | None:
    """Return the file of an image where the data set has ``samples`` as torchvision's ImageFolder."""
    samples = getattr(dataset, "samples", None)
    if not isinstance(samples, list | tuple) or len(samples) != len(dataset):
        return None
    file = samples[index][0] if isinstance(samples[index], list | tuple) else None
    return file if isinstance(file, str | Path) else None


def _picture_of(image: Any, model: TrainedModel) -> Image.Image | None:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] not in (1, 3):
        return None
    pixels = (model.picture(image).expand(-1, -1, 3) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.contiguous().numpy())
