"""Images of one split that stand in another, or look almost like one there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning._checks.options import check_fraction, check_integer
from topk_lightning.data._errors import SPLITS
from topk_lightning.data._perceptual_hash import Fingerprint, close, fingerprint, likeness
from topk_lightning.data.digests import duplicates_across_splits, pixel_digest
from topk_lightning.data.images import load_image, to_rgb

if TYPE_CHECKING:
    from topk_lightning.data.base import ImageDataModuleBase

__all__ = ["Leak", "Leaks", "find_leaks"]


@dataclass(frozen=True)
class Leak:
    """The same image, or two that look almost the same, in more than one split.

    Attributes:
        images: the images, each as "split: name".
        distance: in how many of 64 bits their perceptual hashes differ; 0 for identical images.
        exact: whether the decoded pixels are identical.
    """

    images: tuple[str, ...]
    distance: int
    exact: bool


@dataclass(frozen=True)
class Leaks:
    """All leaks that were found, to iterate over; `str` of it is for people.

    Attributes:
        leaks: identical images first, then the most alike.
        images: how many images were compared.
        blank: those of nearly one colour, each as "split: name": identical ones are found, similar ones are not
            looked for, since all of them look alike.
    """

    leaks: tuple[Leak, ...]
    images: int
    blank: tuple[str, ...]

    def __iter__(self) -> Iterator[Leak]:
        return iter(self.leaks)

    def __len__(self) -> int:
        return len(self.leaks)

    def __str__(self) -> str:
        exact = sum(leak.exact for leak in self.leaks)
        text = f"{self.images} images: {exact} identical and {len(self) - exact} nearly identical across splits"
        return text + (f"; {len(self.blank)} of nearly one colour compared for identity alone" if self.blank else "")


def find_leaks(
    splits: ImageDataModuleBase | Mapping[str, Mapping[str, Image.Image | Tensor | str | Path]],
    *,
    max_distance: int = 6,
    min_likeness: float = 0.99,
) -> Leaks:
    """Return the images that stand in more than one split, and those that look almost like one in another.

    Identical means the same decoded pixels. Alike means perceptual hashes that differ in few of 64 bits and small
    pictures in colour that correlate; each image is reported with the one in each other split that it is most like. An
    image resized, compressed again, or made a little brighter is found; one mirrored, rotated or cropped by more than a
    few percent is not.

    Args:
        splits: a data module of this library, or for each split its images by name: Pillow images, uint8 tensors
            (3, H, W), or files.
        max_distance: bits of 64 that may differ.
        min_likeness: correlation of the small pictures from which on images are alike, in [0, 1].

    Returns:
        The leaks; pass them to :func:`topk_lightning.findings.findings`.

    Raises:
        TypeError: if `splits` is neither.
        ValueError: if an image cannot be read, or an option is out of range.

    Examples:
        >>> picture = Image.radial_gradient("L")
        >>> smaller = picture.resize((100, 100))
        >>> found = find_leaks(
        ...     {"train": {"a.png": picture}, "test": {"b.png": smaller, "c.png": picture}}
        ... )
        >>> [(leak.images, leak.exact) for leak in found]
        [(('train: a.png', 'test: c.png'), True), (('train: a.png', 'test: b.png'), False)]
    """
    check_integer("max_distance", max_distance, minimum=0)
    check_fraction("min_likeness", min_likeness)
    seen = {split: _look_at(images) for split, images in _loaders(splits).items()}
    digests = {split: {name: item.digest for name, item in images.items()} for split, images in seen.items()}
    exact = [Leak(group, 0, exact=True) for group in duplicates_across_splits(digests)]
    near: list[tuple[float, Leak]] = []
    for first, second in combinations(seen, 2):
        for name, other, distance, alike in _near(seen[first], seen[second], max_distance, min_likeness):
            near.append((alike, Leak((f"{first}: {name}", f"{second}: {other}"), distance, exact=False)))
    near.sort(key=lambda scored: -scored[0])
    blank = [
        f"{split}: {name}" for split, images in seen.items() for name, item in images.items() if item.print.bits is None
    ]
    return Leaks((*exact, *(leak for _, leak in near)), sum(map(len, seen.values())), tuple(blank))


@dataclass(frozen=True)
class _Seen:
    digest: int
    print: Fingerprint


_KINDS = (Image.Image, Tensor, str, Path)
_Loader = Callable[[], Image.Image | Tensor]


def _loaders(
    splits: ImageDataModuleBase | Mapping[str, Mapping[str, Image.Image | Tensor | str | Path]],
) -> dict[str, dict[str, _Loader]]:
    """Return for each split how to load each image, by its name."""
    if isinstance(splits, Mapping):
        return {
            split: {str(name): partial(_load, image) for name, image in _check_images(split, images).items()}
            for split, images in splits.items()
        }
    module = _check_data_module(splits)
    return {
        split: {name: partial(_picture, module, split, index) for index, name in enumerate(module.sample_names(split))}
        for split in SPLITS
    }


def _load(image: Image.Image | Tensor | str | Path) -> Image.Image | Tensor:
    if isinstance(image, str | Path):
        return load_image(image)
    return image if isinstance(image, Tensor) else to_rgb(image)


def _picture(module: ImageDataModuleBase, split: str, index: int) -> Image.Image:
    return module.pictures(split, [index])[0]


def _look_at(loaders: Mapping[str, _Loader]) -> dict[str, _Seen]:
    def look(load: _Loader) -> _Seen:
        image = load()
        return _Seen(pixel_digest(image), fingerprint(image))

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        return dict(zip(loaders, threads.map(look, loaders.values()), strict=True))


def _near(
    ones: Mapping[str, _Seen], others: Mapping[str, _Seen], max_distance: int, min_likeness: float
) -> Iterator[tuple[str, str, int, float]]:
    """Yield, for each of `others` that is like one of `ones`, the name of the one it is most like, and itself."""
    names, bits, small, digests = _stack(ones)
    other_names, other_bits, other_small, other_digests = _stack(others)
    for other, near, distances in close(bits, other_bits, max_distance):
        alike = likeness(small[near], other_small[other])
        same = torch.tensor([digests[item] == other_digests[other] for item in near.tolist()])
        score, nearest = alike.masked_fill(same, -1.0).max(0)
        if score >= min_likeness:
            yield names[int(near[nearest])], other_names[other], int(distances[nearest]), float(score)


def _stack(images: Mapping[str, _Seen]) -> tuple[list[str], Tensor, Tensor, list[int]]:
    """Return names, bits, small pictures and digests of the images that are not blank."""
    shaped = {name: item for name, item in images.items() if item.print.bits is not None}
    bits = [item.print.bits for item in shaped.values() if item.print.bits is not None]
    small = [item.print.small for item in shaped.values()]
    stacked = torch.stack(bits) if bits else torch.empty(0, 64, dtype=torch.bool)
    pictures = torch.stack(small) if small else torch.empty(0, 768, dtype=torch.uint8)
    return list(shaped), stacked, pictures, [item.digest for item in shaped.values()]


def _check_data_module(module: Any) -> Any:
    """Return a data module that knows its pictures by split."""
    if not all(hasattr(module, name) for name in ("sample_names", "pictures")):
        requirement = "be an EmojiDataModule, an ImageFolderDataModule, or {split: {name: image}}"
        raise InvalidTypeError(must("splits", requirement, type(module).__name__))
    return module


def _check_images(split: str, images: Any) -> Mapping[str, Any]:
    """Return the images of a split by name, each of a kind that can be read."""
    if not isinstance(images, Mapping):
        raise InvalidTypeError(must(f"splits[{split!r}]", "hold each image by its name", type(images).__name__))
    for name, image in images.items():
        if not isinstance(image, _KINDS):
            requirement = "be a Pillow image, a uint8 tensor (3, H, W) or a path"
            raise InvalidTypeError(must(f"splits[{split!r}][{name!r}]", requirement, type(image).__name__))
    return images
