"""Where images to predict come from: files, folders, PIL images, tensors, and lists of these."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning.data import (
    IMAGE_SUFFIXES,
    LeftOutWarning,
    find_images,
    left_out_kinds,
    left_out_remedy,
    left_out_sentence,
)
from topk_lightning.prediction._errors import check_prepared_images, empty_folder, missing_image, unknown_images

if TYPE_CHECKING:
    from topk_lightning.data import Preprocessing

__all__ = ["iterate_images", "list_images", "opened"]


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
            kinds, remedy = left_out_kinds(images.left_out), left_out_remedy(images.left_out)
            raise empty_folder(str(path), sorted(IMAGE_SUFFIXES), kinds, remedy)
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
        return Path(images).is_file(), iter(_files(Path(images)))
    if isinstance(images, Tensor):
        check_prepared_images(images)
        return images.ndim == 3, iter(images[None] if images.ndim == 3 else images)
    if _is_pil(images):
        return True, iter([images])
    if _is_array(images):
        return images.ndim < 4, iter(_pictures(images))
    if not isinstance(images, Iterable):
        raise unknown_images(images)
    if isinstance(images, list | tuple):
        images = [part for image in images for part in _parts(image)]
        return False, iter(images)
    return False, (part for image in images for part in _parts(image))


def opened(image: Any, preprocessing: Preprocessing | None, max_pixels: int | None) -> Any:
    """Return the picture of a path; anything else as it is, and a path where it is not known how to prepare pictures.

    Args:
        image: what :func:`iterate_images` yields.
        preprocessing: what the picture is decoded for.
        max_pixels: most pixels; None: `MAX_PIXELS`.
    """
    if not isinstance(image, Path) or preprocessing is None:
        return image
    return preprocessing.load(image) if max_pixels is None else preprocessing.load(image, max_pixels)


def _parts(image: Any) -> Iterable[Any]:
    if isinstance(image, str | Path):
        return _files(Path(image))
    if isinstance(image, Tensor):
        check_prepared_images(image)
        return [image] if image.ndim == 3 else image
    if _is_pil(image):
        return [image]
    if _is_array(image):
        return _pictures(image)
    raise unknown_images(image)


def _is_pil(image: Any) -> bool:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return False
    return isinstance(image, Image.Image)


def _is_array(image: Any) -> bool:
    import numpy as np

    return isinstance(image, np.ndarray)


def _pictures(array: Any) -> list[Any]:
    """Return the PIL images of an array (H, W), (H, W, channels) or (N, H, W, channels) of uint8."""
    from PIL import Image

    wanted = "be uint8 pixels (H, W), (H, W, 1, 3 or 4) or (N, H, W, 1, 3 or 4) where they are arrays"
    is_picture = array.ndim == 2 or (array.ndim in (3, 4) and array.shape[-1] in (1, 3, 4))
    if array.dtype != "uint8" or not is_picture or 0 in array.shape:
        remedy = "Put the channels last." if array.dtype == "uint8" else "Prepared images are tensors."
        raise InvalidTypeError(must("images", wanted, f"{array.dtype} {array.shape}", remedy))
    pictures = array if array.ndim == 4 else array[None]
    return [Image.fromarray(picture[:, :, 0] if picture.shape[2:] == (1,) else picture) for picture in pictures]
