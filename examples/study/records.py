"""The results: one line a training in a growing file, and all of them as one parquet."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError:
    sys.exit('pyarrow must be installed for the study, got none. Run pip install "topk-lightning[study]".')

__all__ = ["RESULTS", "VERSION", "Record", "Records", "Results", "origin", "read_parquet", "write_parquet"]

#: Raised when what is trained, on what or how it is measured changes: older results are then made anew.
VERSION = 1
#: The results that the pages are made of.
RESULTS = Path(__file__).parent / "results" / "results.parquet"

Record = dict[str, Any]
_KEY = ("version", "grid", "setting", "method", "candidate", "stage", "split")


class Results(list[Record]):
    """Results, which are also found by where they belong; nothing is added once they were looked for."""

    def cell(self, grid: str, setting: str, method: str, stage: str) -> list[Record]:
        """Return the trainings of a method in a setting, of tuning or of the tests."""
        return self._cells.get((grid, setting, method, stage), [])

    @cached_property
    def _cells(self) -> dict[tuple[str, ...], list[Record]]:
        cells: dict[tuple[str, ...], list[Record]] = {}
        for record in self:
            cells.setdefault(tuple(record[name] for name in ("grid", "setting", "method", "stage")), []).append(record)
        return cells


@dataclass(frozen=True)
class Records:
    """The results of one version: those of a parquet, if there, and those of a file that grows line by line.

    Args:
        lines: the growing file.
        kept: a parquet of earlier results, which are not made again; None: none.
    """

    lines: Path
    kept: Path | None = None

    def read(self) -> Results:
        """Return all results, each once."""
        found = list(read_parquet(self.kept)) if self.kept is not None and self.kept.is_file() else []
        if self.lines.is_file():
            for line in self.lines.read_text(encoding="utf-8").splitlines():
                try:
                    found.append(json.loads(line))
                except json.JSONDecodeError:  # a line that a kill left unfinished
                    continue
        return Results({_key(record): record for record in found if record["version"] == VERSION}.values())

    def add(self, records: Iterable[Record]) -> None:
        """Write lines, each whole and at once, so that several processes may write."""
        text = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
        self.lines.parent.mkdir(parents=True, exist_ok=True)
        with self.lines.open("ab") as file:
            # A line that a kill left unfinished ends here.
            torn = file.tell() > 0 and not self.lines.read_bytes().endswith(b"\n")
            file.write((b"\n" if torn else b"") + text.encode())
            file.flush()
            os.fsync(file.fileno())


def write_parquet(records: Iterable[Record], path: Path) -> None:
    """Write results as one parquet, in one move, in an order that does not depend on when each was made."""
    rows = sorted(records, key=lambda record: [str(part) for part in _key(record)])
    columns = dict.fromkeys(column for row in rows for column in row)
    rows = [{column: row.get(column) for column in columns} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist(rows), part, compression="zstd")
    part.replace(path)


def read_parquet(path: Path) -> Results:
    """Return the results of a parquet."""
    return Results(pq.read_table(path).to_pylist())


@cache
def origin() -> Record:
    """Return what made a result: version of the study, of the packages, and the machine."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [
            line.split(":")[1].strip()
            for line in information.read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        cpu = names[0] if names else cpu
    packages = {name.replace("-", "_"): version(name) for name in ("torch", "topk-lightning")}
    return {"version": VERSION, **packages, "python": platform.python_version(), "machine": cpu}


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in _KEY)
