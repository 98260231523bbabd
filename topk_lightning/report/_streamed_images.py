"""Labelled images of a stream: they come in batches, once each and in order, and cannot be asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning.classifier import images_and_target
from topk_lightning.report._labelled_images import Batch, LabelledImages

__all__ = ["StreamedImages", "is_stream", "streamed_images"]


def is_stream(data: object) -> bool:
    """Return whether data comes in an order of its own: a loader of a data set without a length, or a WebLoader.

    An iterator is none: what was read of it once is gone.
    """
    if isinstance(data, DataLoader):
        return isinstance(data.dataset, IterableDataset) or not hasattr(data.dataset, "__len__")
    kinds = (Iterator, Sequence, Mapping, Tensor)
    return isinstance(data, Iterable) and not isinstance(data, kinds) and not hasattr(data, "test_dataloader")


@dataclass(frozen=True)
class StreamedImages(LabelledImages):
    """The images of a stream, called by their place in it; there are no pictures to show."""

    def __len__(self) -> int:
        raise InvalidTypeError(must("data", "have a length", "a stream"))

    def batches(self, at_most: int | None = None) -> Any:
        """Yield all batches; `at_most` is for splits, which a stream is not."""
        start = 0
        for content in self.dataset:
            count = _count(content)
            yield Batch(list(range(start, start + count)), content, {})
            start += count


def streamed_images(loader: Any) -> StreamedImages:
    """Return the images of a stream of batches."""
    return StreamedImages(loader, lambda index: f"image {index + 1} of the stream", lambda index: None, {})


def _count(content: Any) -> int:
    """Return the number of images of a batch; single images are no batch."""
    _, target = images_and_target(content)
    shape = getattr(target, "shape", None)
    count = len(target) if isinstance(target, Sequence) else shape[0] if shape else None
    if count is None:
        remedy = "Pass a DataLoader over it."
        raise InvalidTypeError(must("data", "yield batches of images and targets", "single images", remedy))
    return int(count)
