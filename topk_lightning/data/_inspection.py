"""One look at every image before training: which cannot be read, which stand in two splits, what their statistics are."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from topk_lightning.data._errors import UnreadableImageError
from topk_lightning.data.preprocessing import image_to_tensor
from topk_lightning.data.samples import Samples

__all__ = ["ChannelSums", "duplicates_across_splits", "inspect_samples", "pixel_digest"]


@dataclass
class ChannelSums:
    """Sums over pixels in whole numbers, so that the statistics are exact and no order of adding matters."""

    count: int = 0
    sums: list[int] = field(default_factory=lambda: [0, 0, 0])
    squares: list[int] = field(default_factory=lambda: [0, 0, 0])

    def add(self, image: Tensor) -> None:
        """Add the pixels of a uint8 image (3, H, W)."""
        values = image.flatten(1).to(torch.int64)
        self.count += values.shape[1]
        self.sums = [a + b for a, b in zip(self.sums, values.sum(1).tolist(), strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, values.square().sum(1).tolist(), strict=True)]

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation per channel of pixels in [0, 1]; a constant channel gets deviation 1."""
        means = tuple(total / self.count / 255 for total in self.sums)
        # N·Σx² − (Σx)² in whole numbers: nothing cancels, however small the deviation is.
        spreads = (self.count * square - total**2 for square, total in zip(self.squares, self.sums, strict=True))
        return means, tuple(spread**0.5 / self.count / 255 if spread else 1.0 for spread in spreads)


@dataclass(frozen=True)
class Inspection:
    """What was seen of one split: a digest of each readable image by its index, and the others by theirs."""

    digests: dict[int, bytes]
    unreadable: dict[int, UnreadableImageError]
    sums: ChannelSums


def inspect_samples(samples: Samples, resize: Callable[[Any], Tensor]) -> Inspection:
    """Read every image of a split once, in threads: Pillow decodes and resizes outside Python's lock.

    The digest is of the decoded upright RGB pixels and their shape, so that a copy in another lossless format, or with
    other metadata, is still the same image. The sums are of the resized image, which is what the network will see.
    """

    def look(index: int) -> tuple[int, bytes, Tensor] | tuple[int, UnreadableImageError, None]:
        try:
            image = samples.image(index)
        except UnreadableImageError as error:
            return index, error, None
        return index, pixel_digest(image), resize(image)

    digests: dict[int, bytes] = {}
    unreadable: dict[int, UnreadableImageError] = {}
    sums = ChannelSums()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        for index, seen, pixels in threads.map(look, range(len(samples.targets))):
            if pixels is None:
                unreadable[index] = seen  # type: ignore[assignment]
            else:
                digests[index] = seen  # type: ignore[assignment]
                sums.add(pixels)
    return Inspection(digests, unreadable, sums)


def duplicates_across_splits(digests: Mapping[str, Mapping[str, bytes]]) -> list[tuple[str, ...]]:
    """Return the groups of identical images that stand in more than one split, each image as "split: name".

    Args:
        digests: for each split, the digest of each image by its name.
    """
    places: defaultdict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for split, by_name in digests.items():
        for name, digest in by_name.items():
            places[digest].append((split, name))
    return [
        tuple(f"{split}: {name}" for split, name in group)
        for group in places.values()
        if len({split for split, _ in group}) > 1
    ]


def pixel_digest(image: Image.Image | Tensor) -> bytes:
    """Return a digest of the pixels of an image and of their shape."""
    pixels = image_to_tensor(image)
    return hashlib.sha256(repr(tuple(pixels.shape)).encode() + pixels.numpy().tobytes()).digest()
