"""Files of predictions: one a process while they are made, joined into one at the end."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from topk_lightning._checks import MissingPackageError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._files import csv_text, replacing, utf8

__all__ = ["SUFFIXES", "PredictionFile", "cells_of", "check_format", "join_parts", "part_path"]

SUFFIXES = (".csv", ".jsonl", ".parquet")

Row = tuple[Any, ...]


class PredictionFile:
    """Append rows to the file of one process, a batch in one write, so that a killed run leaves whole rows.

    A parquet file cannot be read before its end is written: until then its rows stand in a csv file.

    Args:
        path: the joined file, whose ending says the format.
        rank: the number of the process.
        columns: names of the columns.
        spreadsheet_safe: put an apostrophe before a text of a csv file that would be a formula.
    """

    def __init__(self, path: Path, rank: int, columns: Sequence[str], spreadsheet_safe: bool = False) -> None:
        self.columns, self._spreadsheet_safe = tuple(columns), spreadsheet_safe
        self._is_csv = path.suffix != ".jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = part_path(path, rank).open("wb", buffering=0)
        if self._is_csv:
            self._put(utf8(csv_text([self.columns])))

    def write(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        if self._is_csv:
            self._put(utf8(csv_text(rows, spreadsheet_safe=self._spreadsheet_safe)))
        else:
            lines = (json.dumps(dict(zip(self.columns, row, strict=True)), ensure_ascii=False) for row in rows)
            self._put(utf8("".join(f"{line}\n" for line in lines)))

    def close(self) -> None:
        """Close the file; again is harmless."""
        self._file.close()

    def _put(self, content: bytes) -> None:
        while content:
            content = content[self._file.write(content) :]


def cells_of(row: Sequence[Any]) -> list[Row]:
    """Return rank, class and probability of each prediction of an image; of none, rank 0 without a class."""
    cells: list[Row] = [(rank, each.label, float(f"{each.probability:.6g}")) for rank, each in enumerate(row, start=1)]
    return cells or [(0, "", None)]


def part_path(path: Path, rank: int) -> Path:
    """Return the file of one process: predictions.rank0.csv beside predictions.csv."""
    return path.with_name(f"{path.stem}.rank{rank}{'.jsonl' if path.suffix == '.jsonl' else '.csv'}")


def check_format(path: Path) -> None:
    """Raise now, not after hours of prediction, where parquet cannot be written."""
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        remedy = 'Install it with pip install "topk-lightning[parquet]".'
        text = must("path", "end in .csv or .jsonl without pyarrow", ".parquet", remedy)
        raise MissingPackageError(text, name="pyarrow")


def join_parts(path: Path, world_size: int) -> None:
    """Join the files of all processes, in the order of their numbers, and remove them; a few rows are in memory at a time.

    The joined file appears in one move, whole.
    """
    parts = [part_path(path, rank) for rank in range(world_size)]
    for part in parts:
        if not part.exists():
            remedy = "All processes must write to the same file system."
            raise CallbackError(must("path", "be reachable by all processes", f"no file {str(part)!r}", remedy))
    with replacing(path) as whole:
        if path.suffix == ".parquet":
            _write_parquet(whole, parts)
        else:
            with whole.open("wb") as file:
                for number, part in enumerate(parts):
                    _append(file, part, skip_header=path.suffix == ".csv" and number > 0)
    for part in parts:
        part.unlink()


def _append(file: BinaryIO, part: Path, skip_header: bool) -> None:
    with part.open("rb") as source:
        if skip_header:
            source.readline()
        shutil.copyfileobj(source, file, 2**20)


def _write_parquet(path: Path, parts: Sequence[Path]) -> None:
    pyarrow: Any = importlib.import_module("pyarrow")
    pyarrow_csv: Any = importlib.import_module("pyarrow.csv")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    # The image is a text also where it is an index: parts may differ in which they have.
    kinds = {"image": pyarrow.string(), "rank": pyarrow.int32(), "class": pyarrow.string()}
    kinds |= {"probability": pyarrow.float32(), "dataloader": pyarrow.int32(), "pile": pyarrow.string()}
    options = {
        "parse_options": pyarrow_csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow_csv.ConvertOptions(column_types=kinds),
    }
    with pyarrow_csv.open_csv(parts[0], **options) as first:
        schema = first.schema
    with parquet.ParquetWriter(path, schema) as writer:
        for part in parts:
            with pyarrow_csv.open_csv(part, **options) as reader:
                for block in reader:
                    writer.write_batch(block)
