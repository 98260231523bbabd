"""The emoji sheet in memory: the drawings as one tensor, and what the index says about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from topk_lightning._checks import MissingFileError, must
from topk_lightning.data.images import load_image

__all__ = ["EMBEDDED_SHEET", "EmojiSheet", "load_sheet", "read_index"]

#: The sheet of drawings that the package carries.
EMBEDDED_SHEET = Path(__file__).with_name("emoji_sheet.webp")


@dataclass(frozen=True)
class EmojiSheet:
    """All drawings of a sheet, with the class and the vendor of each.

    Attributes:
        tiles: uint8 (T, 3, S, S).
        class_indices: class of each tile (T,).
        vendors: vendor of each tile.
    """

    tiles: Tensor
    class_indices: Tensor
    vendors: tuple[str, ...]


@lru_cache(maxsize=4)
def read_index(path: Path) -> dict[str, Any]:
    """Return the index beside a sheet: classes with their categories, and who drew which."""
    index = path.with_suffix(".json")
    if not index.is_file():
        raise _missing_sheet(index)
    return json.loads(index.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@lru_cache(maxsize=2)
def load_sheet(path: Path) -> EmojiSheet:
    """Return a sheet, decoded once a process."""
    index = read_index(path)
    if not path.is_file():
        raise _missing_sheet(path)
    size, columns = index["size"], index["columns"]
    pixels = np.asarray(load_image(path))
    rows = torch.from_numpy(pixels.copy()).view(-1, size, columns, size, 3)
    tiles = rows.permute(0, 2, 4, 1, 3).reshape(-1, 3, size, size)
    drawn = index["drawn_by"]
    vendors = tuple(vendor for vendor, classes in drawn for _ in classes)
    class_indices = torch.tensor([index for _, classes in drawn for index in classes])
    return EmojiSheet(tiles[: len(vendors)].contiguous(), class_indices, vendors)


def _missing_sheet(path: Path) -> MissingFileError:
    return MissingFileError(must("sheet", f"have {path.name} beside it", f"no such file in {path.parent}"))
