"""Digests of pixels: whether an image is the same as another, and how many tested images were trained on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from topk_lightning.data._errors import UnreadableImageError
from topk_lightning.data._fixed_transform import image_to_tensor
from topk_lightning.data._processes import count_of_threads
from topk_lightning.data.images import load_image
from topk_lightning.data.preprocessing import decoding_side

__all__ = [
    "count_trained_on",
    "duplicates_across_splits",
    "file_digests",
    "leakage_sentence",
    "pixel_digest",
    "training_digests",
]

#: Digests that a checkpoint keeps at most: 8 MB.
MOST_DIGESTS = 1_000_000


class HasDigests(Protocol):
    """A data module that has digests of its images."""

    def digests(self, split: str) -> Tensor:
        """Return the digest of each image of a split: int64 (N,)."""


def pixel_digest(image: Image.Image | Tensor) -> int:
    """Return 64 bits of the SHA-256 of the pixels of an image and of their shape, as a signed number.

    Args:
        image: RGB, or a tensor (3, H, W) of uint8.

    Examples:
        >>> pixel_digest(Image.new("RGB", (4, 4), "red")) == pixel_digest(Image.new("RGB", (4, 4), "red"))
        True
    """
    pixels = image_to_tensor(image)
    digest = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    digest.update(pixels.movedim(0, -1).contiguous().numpy().data)  # as Pillow has them in memory
    return int.from_bytes(digest.digest()[:8], "big", signed=True)


def training_digests(data: HasDigests) -> Tensor:
    """Return the digests of the training images of a data module, for a checkpoint to keep.

    Args:
        data: a data module of this library; it is set up if need be.

    Returns:
        int64 (N,), each digest once and sorted; of more than a million, the million lowest, which is a random sample.

    Examples:
        >>> from topk_lightning.data import EmojiDataModule
        >>> data = EmojiDataModule(classes=["food-fruit"])
        >>> digests = training_digests(data)
        >>> len(digests), count_trained_on(data.digests("test"), digests)
        (70, 0)
    """
    different = sorted(set(data.digests("train").tolist()))
    return torch.tensor(different[:MOST_DIGESTS], dtype=torch.int64)


def file_digests(paths: Iterable[str | Path], image_size: int) -> Tensor:
    """Return the digests of image files, decoded as a data module for images of `image_size` decodes them: int64 (N,).

    A file that cannot be read has no digest.
    """

    def digest(path: str | Path) -> int | None:
        try:
            return pixel_digest(load_image(path, at_least=decoding_side(image_size)))
        except UnreadableImageError:
            return None

    with ThreadPoolExecutor(count_of_threads()) as threads:
        of_files = [value for value in threads.map(digest, paths) if value is not None]
    return torch.tensor(of_files, dtype=torch.int64)


def count_trained_on(tested: Tensor, training: Tensor) -> int:
    """Return how many of the tested images are among the training images, by their digests (N,) and (M,).

    Examples:
        >>> count_trained_on(torch.tensor([1, 2, 2, 3]), training=torch.tensor([2, 5]))
        2
    """
    return int(torch.isin(tested, training).sum())


def duplicates_across_splits(digests: Mapping[str, Mapping[str, int]]) -> list[tuple[str, ...]]:
    """Return the groups of identical images that stand in more than one split, each image as "split: name".

    Args:
        digests: for each split, the digest of each image by its name.
    """
    places: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for split, by_name in digests.items():
        for name, digest in by_name.items():
            places[digest].append((split, name))
    return [
        tuple(f"{split}: {name}" for split, name in group)
        for group in places.values()
        if len({split for split, _ in group}) > 1
    ]


def leakage_sentence(duplicates: Sequence[Sequence[str]], at_most: int = 5) -> str:
    """Return the sentence of a warning that names identical images in different splits."""
    named = "; ".join(" = ".join(group) for group in duplicates[:at_most])
    more = f"; and {len(duplicates) - at_most} more (see .duplicates)" if len(duplicates) > at_most else ""
    stand = "1 image stands" if len(duplicates) == 1 else f"{len(duplicates)} images stand"
    return f"{stand} in more than one split, which flatters the scores: {named}{more}."
