"""Small real images for the tests of the data modules."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

_seeds = itertools.count()


def noise(size=(20, 16), mode="RGB") -> Image.Image:
    """Return an image that no other call returns."""
    pixels = np.random.default_rng(next(_seeds)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def fill(folder: Path, count: int, suffix: str = ".png") -> list[Path]:
    """Write so many different images into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02}{suffix}" for number in range(count)]
    for path in paths:
        noise().save(path)
    return paths


def class_folders(root: Path, counts: dict[str, int]) -> Path:
    """Write root/<class>/*."""
    for name, count in counts.items():
        fill(root / name, count)
    return root


def split_folders(root: Path, counts: dict[str, int], classes=("cat", "dog")) -> Path:
    """Write root/<split>/<class>/*."""
    for split, count in counts.items():
        for name in classes:
            fill(root / split / name, count)
    return root
