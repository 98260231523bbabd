"""Checks of the search for leaks between splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topk_lightning._checks import InvalidTypeError, must

__all__ = ["check_data_module", "check_images"]


def check_data_module(module: Any) -> Any:
    """Return a data module that knows its pictures by split."""
    if not all(hasattr(module, name) for name in ("sample_names", "pictures")):
        requirement = "be an EmojiDataModule, an ImageFolderDataModule, or {split: {name: image}}"
        raise InvalidTypeError(must("splits", requirement, type(module).__name__))
    return module


def check_images(split: str, images: Any, kinds: tuple[type, ...]) -> Mapping[str, Any]:
    """Return the images of a split by name, each of one of the `kinds`."""
    if not isinstance(images, Mapping):
        raise InvalidTypeError(must(f"splits[{split!r}]", "hold each image by its name", type(images).__name__))
    for name, image in images.items():
        if not isinstance(image, kinds):
            requirement = "be a Pillow image, a uint8 tensor (3, H, W) or a path"
            raise InvalidTypeError(must(f"splits[{split!r}][{name!r}]", requirement, type(image).__name__))
    return images
