"""Images one after another as the network sees them, a batch of one size at a time; those that cannot be read are kept apart."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError
from topk_lightning.prediction._image_sources import opened
from topk_lightning.prediction._trained_model import TrainedModel

__all__ = ["PreparedImages", "batches"]


class PreparedImages:
    """Iterates over the places and tensors of the images that can be read, and keeps what is wrong with the others."""

    def __init__(
        self, model: TrainedModel, images: Iterable[Any], prepared: bool, max_pixels: int | None, skip: bool
    ) -> None:
        self.number, self.sentences = 0, list[str]()
        self._model, self._images, self._prepared, self._skip = model, images, prepared, skip
        self._max_pixels = max_pixels

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for position, image in enumerate(self._images):
            self.number = position + 1
            try:
                opened_image = opened(image, self._model.preprocessing, self._max_pixels)
                tensor = self._model.prepare(opened_image, self._prepared)
            except InvalidValueError as error:
                from topk_lightning.data import UnreadableImageError

                if not self._skip or not isinstance(error, UnreadableImageError):
                    raise
                self.sentences.append(str(error))
                continue
            yield position, tensor

    def warn(self) -> None:
        """Name the images that could not be read."""
        if self.sentences:
            from topk_lightning.data import BadImageWarning

            some = " ".join(self.sentences[:20]) + (" And others." if len(self.sentences) > 20 else "")
            sentence = f"{len(self.sentences)} of {self.number} images cannot be read. {some}"
            warnings.warn(sentence, BadImageWarning, stacklevel=4)


def batches(images: Iterable[tuple[int, Tensor]], batch_size: int) -> Iterator[tuple[list[int], Tensor]]:
    """Stack neighbours of one size, with their places."""
    batch: list[tuple[int, Tensor]] = []
    for position, image in images:
        if batch and (len(batch) == batch_size or image.shape != batch[0][1].shape):
            yield [position for position, _ in batch], torch.stack([tensor for _, tensor in batch])
            batch = []
        batch.append((position, image))
    if batch:
        yield [position for position, _ in batch], torch.stack([tensor for _, tensor in batch])
