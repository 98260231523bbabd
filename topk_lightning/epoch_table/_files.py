"""The epoch table as a file: written, found beside a checkpoint, and read."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingFileError, must
from topk_lightning._files import csv_text, utf8, write_file

__all__ = [
    "TABLE_NAME",
    "check_table_path",
    "find_table",
    "read_table",
    "training_folders",
    "write_table",
]

#: What the file is called in the folder of a run.
TABLE_NAME = "epochs.csv"


def check_table_path(path: object) -> Path:
    """Return the path of an epoch table, a csv or json file."""
    if not isinstance(path, str | Path):
        raise InvalidTypeError(must("path", "be a text or a Path", type(path).__name__))
    if Path(path).suffix not in (".csv", ".json"):
        raise InvalidValueError(must("path", "end in .csv or .json", repr(str(path))))
    return Path(path)


def training_folders(checkpoint: str | Path) -> list[Path]:
    """Return the folders in which a training leaves what belongs to a checkpoint, nearest first."""
    folder = Path(checkpoint).absolute().parent
    folders = [folder]
    if folder.name == "checkpoints":  # as Lightning has it: root/lightning_logs/version_0/checkpoints
        folders.append(folder.parent)
        if folder.parent.parent.name == "lightning_logs":
            folders.append(folder.parent.parent.parent)
    return folders


def find_table(checkpoint: str | Path) -> Path | None:
    """Return the epoch table that stands with a checkpoint."""
    return next((path for folder in training_folders(checkpoint) if (path := folder / TABLE_NAME).is_file()), None)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Write the table in one move: as csv, or for ".json" as a list of objects.

    Args:
        path: its ending decides.
        rows: the table.
        columns: the logged names to write, in this order, between "epoch" and "note".
    """
    names = ("epoch", *columns, "note")
    table = [{name: row.get(name) for name in names} for row in rows]
    if path.suffix == ".json":
        # JSON has no NaN; the note says that a loss was not finite.
        finite = [{name: _finite(value) for name, value in row.items()} for row in table]
        text = json.dumps(finite, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = csv_text([names, *(row.values() for row in table)])
    write_file(path, utf8(text))


def read_table(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a file that :func:`write_table` wrote; a name without a value is left out of its row.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of something else.
    """
    where = Path(path)
    if not where.is_file():
        raise MissingFileError(must("epoch_table", "be an existing file", repr(str(path))))
    try:
        text = where.read_text(encoding="utf-8")
        table = json.loads(text) if where.suffix == ".json" else _read_csv(text)
        rows = [{name: _value(name, value) for name, value in row.items() if value not in ("", None)} for row in table]
        if all(isinstance(row["epoch"], int) for row in rows):
            return [{**row, "note": row.get("note", "")} for row in rows]
    except (csv.Error, AttributeError, KeyError, TypeError, ValueError):
        pass
    wanted = "be a .csv or .json file that TrainingTrace wrote"
    raise InvalidValueError(must("epoch_table", wanted, repr(str(path))))


def _read_csv(text: str) -> list[dict[str, str]]:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    header.index("epoch")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _value(name: str, value: Any) -> Any:
    if name == "note" or not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
