"""Files of predictions: one a process while they are made, joined into one at the end."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from topk_lightning._checks.writer import missing_part, missing_pyarrow

__all__ = ["SUFFIXES", "PredictionFile", "check_format", "join_parts", "part_path"]

SUFFIXES = (".csv", ".jsonl", ".parquet")

#: Rows that are turned into parquet at a time.
_BLOCK = 65_536

Row = tuple[Any, ...]


class PredictionFile:
    """Append rows to the file of one process, a batch in one write, so that a killed run leaves whole rows.

    A parquet file cannot be read before its end is written: until then its rows stand in a file of JSON lines.

    Args:
        path: the joined file, whose ending says the format.
        rank: the number of the process.
        columns: names of the columns.
    """

    def __init__(self, path: Path, rank: int, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._is_csv = path.suffix == ".csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = part_path(path, rank).open("wb", buffering=0)
        if self._is_csv:
            self._put(_csv([self.columns]))

    def write(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        if self._is_csv:
            self._put(_csv(rows))
        else:
            lines = (json.dumps(dict(zip(self.columns, row, strict=True)), ensure_ascii=False) for row in rows)
            self._put("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """Close the file; again is harmless."""
        self._file.close()

    def _put(self, content: bytes) -> None:
        while content:
            content = content[self._file.write(content) :]


def part_path(path: Path, rank: int) -> Path:
    """Return the file of one process: predictions.rank0.csv beside predictions.csv."""
    return path.with_name(f"{path.stem}.rank{rank}{'.csv' if path.suffix == '.csv' else '.jsonl'}")


def check_format(path: Path) -> None:
    """Raise now, not after hours of prediction, where parquet cannot be written."""
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise missing_pyarrow()


def join_parts(path: Path, world_size: int) -> None:
    """Join the files of all processes, in the order of their numbers, and remove them; a few rows are in memory at a time.

    The joined file appears in one move, whole.
    """
    parts = [part_path(path, rank) for rank in range(world_size)]
    for part in parts:
        if not part.exists():
            raise missing_part(str(part))
    whole = path.with_name(path.name + ".tmp")
    if path.suffix == ".parquet":
        _write_parquet(whole, parts)
    else:
        with whole.open("wb") as file:
            for number, part in enumerate(parts):
                _append(file, part, skip_header=path.suffix == ".csv" and number > 0)
    os.replace(whole, path)
    for part in parts:
        part.unlink()


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _append(file: BinaryIO, part: Path, skip_header: bool) -> None:
    with part.open("rb") as source:
        if skip_header:
            source.readline()
        shutil.copyfileobj(source, file, 2**20)


def _write_parquet(path: Path, parts: Sequence[Path]) -> None:
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    # The image is a text also where it is an index: parts may differ in which they have.
    kinds = {"image": pyarrow.string(), "rank": pyarrow.int32(), "class": pyarrow.string()}
    kinds |= {"probability": pyarrow.float32(), "dataloader": pyarrow.int32()}
    writer = None
    for block in _blocks(parts):
        names = list(block[0])
        schema = pyarrow.schema([(name, kinds[name]) for name in names])
        columns = {name: [row[name] for row in block] for name in names}
        columns["image"] = [str(image) for image in columns["image"]]
        writer = writer or parquet.ParquetWriter(path, schema)
        writer.write_table(pyarrow.table(columns, schema))
    if writer is None:
        names = [name for name in kinds if name != "dataloader"]
        writer = parquet.ParquetWriter(path, pyarrow.schema([(name, kinds[name]) for name in names]))
    writer.close()


def _blocks(parts: Sequence[Path]) -> Iterator[list[dict[str, Any]]]:
    for part in parts:
        with part.open(encoding="utf-8") as file:
            while lines := list(islice(file, _BLOCK)):
                yield [json.loads(line) for line in lines]
