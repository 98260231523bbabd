"""A data set as a csv table of image paths and labels, with their splits if it names them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from topk_lightning._checks import InvalidValueError, MissingFileError, must, shown
from topk_lightning.data._errors import warn_of_like_names
from topk_lightning.data.folder_layout import Labelled, split_of
from topk_lightning.data.image_files import composed

__all__ = ["is_table", "read_table"]


def is_table(root: Path) -> bool:
    """Say whether a data set is a csv table rather than a folder."""
    return root.suffix.lower() == ".csv" and not root.is_dir()


def read_table(path: Path, to_train: bool = True) -> tuple[list[str], dict[str, Labelled]]:
    """Return the class names, sorted, and (path, class index) of each image of each split.

    The first line names the columns: path, label and, if the table says it, split, in any order and beside any others.
    Paths are relative to the folder of the table. Commas, semicolons or tabs part the columns.

    Args:
        path: the table.
        to_train: whether two classes are needed, each with an image to train on.

    Raises:
        FileNotFoundError: no such table.
        ValueError: a table without these columns, an empty cell, an unknown split, a path twice, or one class only.
    """
    if not path.is_file():
        raise MissingFileError(must("root", "be a folder or a csv table", f"no such file ({path})"))
    try:
        columns, rows = _read(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(must("root", "be a csv table, text in UTF-8", repr(str(path)))) from error
    names = sorted({row["label"] for _, row in rows}, key=composed)
    index = {name: number for number, name in enumerate(names)}
    splits: dict[str, Labelled] = {}
    for line, row in rows:
        split = split_of(row["split"]) if "split" in columns else "train"
        for column in ("path", "label"):
            if not row[column]:
                raise InvalidValueError(must("root", f"hold a {column} in line {line} of {path}", "an empty cell"))
        if split is None:
            raise InvalidValueError(
                must("root", f"name train, val or test in line {line} of {path}", shown(row["split"]))
            )
        splits.setdefault(split, []).append((row["path"], index[row["label"]]))
    repeated = [
        name for name, count in Counter(name for rows in splits.values() for name, _ in rows).items() if count > 1
    ]
    if repeated:
        raise InvalidValueError(must("root", f"name each image of {path} once", f"{shown(repeated[0])} twice"))
    if not to_train and names:
        return names, splits
    if len(names) < 2:
        actual = f"one class only ({shown(names[0])})" if names else "none"
        raise InvalidValueError(must("root", f"hold at least two classes in {path}", actual))
    warn_of_like_names(names, path)
    untrained = set(range(len(names))) - {label for _, label in splits.get("train", ())}
    if untrained:
        requirement = f"hold an image to train on of each class in {path}"
        raise InvalidValueError(must("root", requirement, f"none of {shown(names[min(untrained)])}"))
    return names, splits


def _read(path: Path) -> tuple[set[str], list[tuple[int, dict[str, str]]]]:
    """Return the names of the columns, and the number and the cells of each line."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        # Spreadsheets of many countries write semicolons.
        delimiter = next((sign for sign in ",;\t" if sign in first), ",")
        reader = csv.DictReader(file, delimiter=delimiter)
        columns = {name.strip().lower(): name for name in reader.fieldnames or ()}
        if not {"path", "label"} <= set(columns):
            requirement = f"name the columns path and label in the first line of {path}"
            raise InvalidValueError(must("root", requirement, shown(", ".join(columns)) if columns else "none"))
        lines = [(reader.line_num, row) for row in reader]
        for line, row in lines:
            if None in row:  # a comma within a label, not quoted
                requirement = f"hold {len(reader.fieldnames or ())} cells in line {line} of {path}"
                remedy = "Put a cell that holds a comma between quotes."
                raise InvalidValueError(must("root", requirement, len(row) - 1 + len(row[None]), remedy))
        return set(columns), [
            (line, {key: (row[name] or "").strip() for key, name in columns.items()}) for line, row in lines
        ]
