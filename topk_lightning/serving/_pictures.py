"""A picture from the bytes of a request: size and kind are checked before a pixel is decoded."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from topk_lightning.data import FORMATS, Preprocessing, TooLargeImageError, UnreadableImageError
from topk_lightning.serving._errors import RequestError, undecodable, unknown_kind

__all__ = ["decode_picture"]


def decode_picture(data: bytes, max_pixels: int, preprocessing: Preprocessing) -> Image.Image:
    """Return the picture of a file as RGB.

    Args:
        data: the file.
        max_pixels: of the picture, as its header says and as preprocessing resizes it.
        preprocessing: what it is decoded for.

    Raises:
        RequestError: too many pixels, an unknown kind, or a broken picture.
    """
    try:
        return preprocessing.load(io.BytesIO(data), max_pixels)
    except TooLargeImageError as error:
        raise RequestError(413, error.sentence) from None
    except UnreadableImageError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise unknown_kind(FORMATS, len(data)) from None
        raise undecodable(str(error)) from None
