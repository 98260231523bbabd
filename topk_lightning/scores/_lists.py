"""What stands in a file of its own beside the scores: targets, names of classes and images, weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, MissingFileError, must, shown
from topk_lightning.scores._npz import read_npy

__all__ = ["given_list"]


def given_list(given: Any, name: str, ids: Sequence[str] | None) -> Any:
    """Return what was given: a list, or the content of a file of one."""
    if not isinstance(given, str | Path):
        return given
    where = Path(given)
    if not where.is_file():
        raise MissingFileError(must(name, "be an existing file", repr(str(given))))
    if where.suffix == ".npy":
        return read_npy(where, name)
    try:
        text = where.read_text(encoding="utf-8-sig")
        if where.suffix == ".json":
            return json.loads(text)
        if where.suffix == ".csv" and name == "target":
            return _by_image(list(csv.DictReader(text.splitlines())), ids)
        lines = text.splitlines()
        return [float(line) for line in lines] if name == "sample_weight" else lines
    except ValueError as error:
        if isinstance(error, InvalidValueError):
            raise
        raise InvalidValueError(must(name, "be a .npy, .txt or .json file", repr(str(given)))) from error


def _by_image(rows: Sequence[Mapping[str, str]], ids: Sequence[str] | None) -> list[str]:
    if not rows or not {"image", "class"} <= set(rows[0]):
        columns = shown(list(rows[0])) if rows else "no row"
        raise InvalidValueError(must("target", "have the columns image and class", columns))
    if ids is None:
        return [row["class"] for row in rows]
    of_image = {row["image"]: row["class"] for row in rows}
    missing = [image for image in ids if image not in of_image]
    if missing:
        raise InvalidValueError(must("target", "name the class of each image", f"none for {shown(missing[0])}"))
    return [of_image[image] for image in ids]
