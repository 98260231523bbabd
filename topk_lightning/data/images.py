"""Read an image file, whatever its kind, as upright RGB on white, within bounds of its size."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from topk_lightning._checks import must
from topk_lightning.data._errors import TooLargeImageError, UnreadableImageError, unreadable_image

__all__ = ["FORMATS", "MAX_PIXELS", "check_image_size", "load_image", "to_rgb"]

if find_spec("pi_heif") is not None:
    import pi_heif

    pi_heif.register_heif_opener()

#: What people have, and no format whose reader starts another program or fetches other files.
FORMATS = tuple(
    kind
    for kind in ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
    if (kind not in ("AVIF", "WEBP") or (kind.lower() in features.modules and features.check(kind.lower())))
    and (kind != "HEIF" or find_spec("pi_heif") is not None)
)

#: Pixels of an image, as its file says and as preprocessing resizes it; RGB of as many takes half a gigabyte.
MAX_PIXELS = 178_956_970

_ORIENTATION = 0x0112  # in EXIF; 1 is upright
_HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")


def load_image(
    path: str | Path | IO[bytes],
    *,
    at_least: int | None = None,
    max_pixels: int = MAX_PIXELS,
    shorter_side: int | None = None,
    name: str | Path | None = None,
) -> Image.Image:
    """Return the image of a file as RGB: upright as its EXIF says, the first frame if it moves, on white.

    Its size is checked before a pixel is decoded.

    Args:
        path: file, or an open binary file, in one of `FORMATS`.
        at_least: decode a JPEG at a half, a quarter or an eighth of its size where its sides stay at least so long, which
            takes a fraction of the time; None: in full.
        max_pixels: most pixels, as the file says and once its shorter side is resized to `shorter_side`.
        shorter_side: to what preprocessing resizes the shorter side; None: it does not keep the proportions.
        name: what the file is called in errors; None: as it is.

    Returns:
        An RGB image, fully decoded.

    Raises:
        ValueError: a file that is no image, that ends early, of floating-point pixels or of too many; the sentence names it.
    """
    if isinstance(path, str | Path):
        name = path if name is None else name
        try:
            with open(path, "rb") as file:
                return load_image(file, at_least=at_least, max_pixels=max_pixels, shorter_side=shorter_side, name=name)
        except OSError as error:
            raise unreadable_image(name, error) from error
    name = "image" if name is None else name
    try:
        with _open(path) as image:
            check_image_size(image.width, image.height, max_pixels, shorter_side, name)
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            return to_rgb(image, name)
    except (MemoryError, UnreadableImageError):
        raise
    except Exception as error:  # what Pillow raises on broken bytes differs by format, struct.error and all
        raise unreadable_image(name, error) from error


def check_image_size(
    width: int, height: int, max_pixels: int, shorter_side: int | None, name: str | Path = "image"
) -> None:
    """Refuse an image of too many pixels, as it is or once its shorter side is resized to `shorter_side`."""
    resized = 0 if shorter_side is None else shorter_side * max(width, height) // max(1, min(width, height))
    if width * height > max_pixels or (shorter_side or 0) * resized > max_pixels:
        actual = f"{width} × {height}"
        if width * height <= max_pixels:
            actual += f", which preprocessing makes {shorter_side} × {resized}"
        requirement = f"have at most {max_pixels:,} pixels"
        raise TooLargeImageError(must(str(name), requirement, actual))


def to_rgb(image: Image.Image, name: str | Path = "image") -> Image.Image:
    """Return an image as RGB, itself if it is such: upright as EXIF says, transparency on white, grey and CMYK converted, 16 bits scaled to 8.

    Examples:
        >>> clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
        >>> to_rgb(clear).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise unreadable_image(name, ValueError("mode 'F' does not say which value is white"))
    if image.mode.startswith("I"):
        return _grey_to_rgb(np.asarray(image), image.mode, image.info.get("transparency"))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if type(image) is Image.Image and image.mode == "RGB" else image.convert("RGB")


def _open(file: IO[bytes]) -> Image.Image:
    """Return the image of a file with its header read.

    ``Image.open`` would refuse by a bound of its own, which is one for all of a process.
    """
    start = file.read(16)
    Image.preinit()
    # Those first whose readers are there already: the others are imported, all at once, where none of these reads it.
    for kind in sorted(FORMATS, key=lambda kind: kind not in Image.OPEN):
        if kind not in Image.OPEN:
            Image.init()
        read, accepts = Image.OPEN[kind]
        accepted = accepts is None or accepts(start)
        if accepted and not isinstance(accepted, str):  # a text says that Pillow was built without it
            file.seek(0)
            try:
                return read(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # it only begins like one
                continue
    if start[4:12] in _HEIC:
        raise UnidentifiedImageError('HEIC, which pip install "topk-lightning[heif]" lets it read')
    raise UnidentifiedImageError("cannot identify image file")


def _grey_to_rgb(grey: np.ndarray, mode: str, clear: int | None) -> Image.Image:
    """Return grey of 16 bits scaled to 8: Pillow would clip it at 255; 32-bit grey may hold 8 bits or 16."""
    values = grey.clip(0, 65535)
    deep = mode.startswith("I;16") or values.max() > 255
    scaled = (values // 257 if deep else values).astype(np.uint8)
    if isinstance(clear, int):
        scaled = np.where(grey == clear, np.uint8(255), scaled)
    return Image.fromarray(scaled).convert("RGB")
