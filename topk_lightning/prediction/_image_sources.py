"""Where images to predict come from: files, folders, PIL images, tensors, and lists of these."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from topk_lightning._checks.prediction import check_prepared_images, empty_folder, missing_image, unknown_images
from topk_lightning.data import IMAGE_SUFFIXES, LeftOutWarning, find_images, import_torchvision, left_out_sentence

__all__ = ["iterate_images", "list_images"]


def list_images(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the image files of paths: a file as it is, a folder as all images in it and below, sorted.

    This is the order in which :func:`predict_topk` answers for the same paths.

    Args:
        paths: a file or folder, or several.

    Raises:
        FileNotFoundError: a path where nothing is.
        ValueError: a folder without an image.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    return [file for path in given for file in _files(Path(path))]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        images = find_images(path)
        if not images.names:
            raise empty_folder(str(path), sorted(IMAGE_SUFFIXES))
        if images.left_out:
            warnings.warn(left_out_sentence(images.left_out, path), LeftOutWarning, stacklevel=3)
        return images.paths
    if not path.exists():
        raise missing_image(str(path))
    return [path]


def iterate_images(images: Any) -> tuple[bool, Iterator[Any]]:
    """Return whether `images` is one image, and an iterator over paths, PIL images and tensors (3, H, W).

    All paths are looked up here, before the first prediction; a generator is asked as it goes.
    """
    if isinstance(images, str | Path):
        import_torchvision("predict_topk")
        return Path(images).is_file(), iter(_files(Path(images)))
    if isinstance(images, Tensor):
        check_prepared_images(images)
        return images.ndim == 3, iter(images[None] if images.ndim == 3 else images)
    if _is_pil(images):
        return True, iter([images])
    if not isinstance(images, Iterable):
        raise unknown_images(images)
    if isinstance(images, list | tuple):
        images = [part for image in images for part in _parts(image)]
        return False, iter(images)
    return False, (part for image in images for part in _parts(image))


def _parts(image: Any) -> Iterable[Any]:
    if isinstance(image, str | Path):
        import_torchvision("predict_topk")
        return _files(Path(image))
    if isinstance(image, Tensor):
        check_prepared_images(image)
        return [image] if image.ndim == 3 else image
    if _is_pil(image):
        return [image]
    raise unknown_images(image)


def _is_pil(image: Any) -> bool:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return False
    return isinstance(image, Image.Image)
