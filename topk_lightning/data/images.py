"""Read an image file, whatever its kind, as upright RGB on white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from topk_lightning.data._errors import UnreadableImageError, unreadable_image

__all__ = ["IMAGE_SUFFIXES", "load_image", "to_rgb"]

IMAGE_SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ],
)


def load_image(path: str | Path) -> Image.Image:
    """Return the image of a file as RGB: upright as its EXIF says, the first frame if it moves, on white.

    Args:
        path: file in any format that Pillow reads.

    Returns:
        An RGB image, fully decoded.

    Raises:
        ValueError: a file that is no image, that ends early, or of floating-point pixels; the sentence names it.
    """
    try:
        with Image.open(path) as image:
            return to_rgb(image, path)
    except (MemoryError, UnreadableImageError):
        raise
    except Exception as error:  # what Pillow raises on broken bytes differs by format, struct.error and all
        raise unreadable_image(path, error) from error


def to_rgb(image: Image.Image, name: str | Path = "image") -> Image.Image:
    """Return an RGB copy: upright as EXIF says, transparency on white, grey and CMYK converted, 16 bits scaled to 8.

    Examples:
        >>> clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
        >>> to_rgb(clear).getpixel((0, 0))
        (255, 255, 255)
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise unreadable_image(name, ValueError("mode 'F' does not say which value is white"))
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255 instead of scaling it; 32-bit grey may hold 8 bits or 16.
        grey = np.asarray(image).clip(0, 65535)
        deep = image.mode.startswith("I;16") or grey.max() > 255
        image = Image.fromarray((grey // 257 if deep else grey).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
