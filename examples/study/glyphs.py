"""Characters as the fonts of Debian's ``fonts-aenigma`` draw them: 156 classes, split by font, cached as one file."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

__all__ = ["CHARACTERS", "FONTS", "Glyphs", "base_letters", "load_glyphs"]

FONTS = Path("/usr/share/fonts/truetype/aenigma")
SIZE = 32
# Printable ASCII, and the letters of Latin-1.
CHARACTERS = [chr(c) for c in range(33, 127)] + [chr(c) for c in range(0xC0, 0x100) if c not in (0xD7, 0xF7)]
# A font that draws fewer different characters shows boxes for most.
_LEAST_DIFFERENT = 30


@dataclass(frozen=True)
class Glyphs:
    """All drawings.

    Attributes:
        images: uint8 (N, 32, 32), white on black.
        labels: index of the character of each, (N,).
        fonts: number of the font of each, (N,).
    """

    images: Tensor
    labels: Tensor
    fonts: Tensor


@lru_cache(maxsize=1)
def load_glyphs(cache: Path) -> Glyphs | None:
    """Return the drawings from the cache, or drawn anew and kept there; None where the fonts are not installed."""
    file = cache / "glyphs.npz"
    if not file.is_file():
        if not FONTS.is_dir():
            return None
        images, labels, fonts = _draw(FONTS)
        cache.mkdir(parents=True, exist_ok=True)
        part = file.with_name("glyphs.part.npz")
        np.savez_compressed(part, images=images, labels=labels, fonts=fonts)
        part.replace(file)
    with np.load(file) as found:
        return Glyphs(*(torch.from_numpy(found[name]) for name in ("images", "labels", "fonts")))


def base_letters() -> list[int]:
    """Return a group for each character: a letter with all its cases and accents, the digits, all other signs."""
    names = [_base(character) for character in CHARACTERS]
    order = sorted(set(names))
    return [order.index(name) for name in names]


def _base(character: str) -> str:
    plain = unicodedata.normalize("NFD", character)[0]
    if plain.isalpha():
        return plain.lower()
    return "digit" if plain.isdigit() else "sign"


def _draw(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images, labels, fonts = [], [], []
    for number, path in enumerate(sorted(folder.rglob("*.ttf"))):
        font = ImageFont.truetype(path, 48)
        missing = _glyph(font, "\uffff")
        drawn = [(label, _glyph(font, character)) for label, character in enumerate(CHARACTERS)]
        kept = [(label, image) for label, image in drawn if image is not None and not _same(image, missing)]
        if len({image.tobytes() for _, image in kept}) < _LEAST_DIFFERENT:
            continue
        images += [image for _, image in kept]
        labels += [label for label, _ in kept]
        fonts += [number] * len(kept)
    return np.stack(images), np.array(labels), np.array(fonts)


def _same(image: np.ndarray, other: np.ndarray | None) -> bool:
    return other is not None and bool((image == other).all())


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray | None:
    """Return a character cut out and scaled to the square, or None where there is next to nothing to see."""
    try:
        left, top, right, bottom = font.getbbox(character)
    except (OSError, ValueError):
        return None
    width, height = int(right - left), int(bottom - top)
    if not (3 <= width <= 400 and 3 <= height <= 400):
        return None
    tight = Image.new("L", (width, height))
    ImageDraw.Draw(tight).text((-left, -top), character, fill=255, font=font)
    side = int(1.1 * max(width, height)) + 2
    square = Image.new("L", (side, side))
    square.paste(tight, ((side - width) // 2, (side - height) // 2))
    image = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    return image if image.max() > 100 else None
