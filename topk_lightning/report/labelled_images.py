"""Labelled images for a report: read once and in order, each with a name and a picture for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from topk_lightning._checks.report import check_test_size, no_order
from topk_lightning.data import load_image
from topk_lightning.prediction import TrainedModel

__all__ = ["LabelledImages", "images_of_loader"]


@dataclass(frozen=True)
class LabelledImages:
    """Pairs (image, class index) that can be asked for by their index.

    Args:
        dataset: the pairs, images as the network takes them.
        name: says what an image is called, by its index.
        picture: returns an image as people see it, by its index; None where there is nothing to show.
        options: of the loader: batch_size, num_workers, collate_fn.
    """

    dataset: Any
    name: Callable[[int], str]
    picture: Callable[[int], Image.Image | None]
    options: dict[str, Any]

    def __len__(self) -> int:
        return len(self.dataset)

    def loader(self, at_most: int | None = None) -> DataLoader[Any]:
        """Return batches of all images in order, or of `at_most` images at even distances."""
        dataset, count = self.dataset, len(self)
        if at_most is not None and count > at_most:
            dataset = Subset(dataset, [number * count // at_most for number in range(at_most)])
        return DataLoader(dataset, pin_memory=torch.cuda.is_available(), **self.options)


def images_of_loader(loader: DataLoader[Any], model: TrainedModel) -> LabelledImages:
    """Return the images of any loader over a data set with a length, in the order of the data set, each once.

    Names and pictures are those of the files where the data set has ``samples`` as torchvision's ImageFolder; otherwise an
    image is called by its number, and its picture is the tensor, with the normalisation of `model` undone.
    """
    dataset: Any = loader.dataset
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise no_order(type(dataset).__name__)
    check_test_size(len(dataset))
    options = {
        "batch_size": loader.batch_size or 32,
        "num_workers": loader.num_workers,
        "collate_fn": None if loader.batch_sampler is None else loader.collate_fn,  # without batches it converts only
    }
    files = [str(sample[0]) for sample in getattr(dataset, "samples", ())]
    if len(files) == len(dataset) and all(isinstance(sample[0], str | Path) for sample in dataset.samples):
        return LabelledImages(dataset, files.__getitem__, lambda index: load_image(files[index]), options)
    return LabelledImages(
        dataset,
        lambda index: f"image {index + 1} of {len(dataset)}",
        lambda index: _picture_of(dataset[index][0], model),
        options,
    )


def _picture_of(image: Any, model: TrainedModel) -> Image.Image | None:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] not in (1, 3):
        return None
    pixels = (model.picture(image).expand(-1, -1, 3) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.contiguous().numpy())
