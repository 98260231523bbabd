"""One writer for all measurements: tables are printed, kept in results.json, and the page is built from that file alone.

A measurement is a file bench_x.py that ends with ``publish("x", tables)``. Run alone it prints; with ``--write`` it replaces
its own tables in results.json and builds docs/benchmarks.md anew. ``python tests/benchmarks/page.py`` only builds.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

__all__ = ["SECTIONS", "Ratio", "Table", "build", "publish", "quick", "text"]

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
DOCS = HERE.parents[1] / "docs"

#: The sections of the page, in its order: the measurement, its heading.
SECTIONS = {
    "metrics": "Top-k accuracy",
    "growth": "Growth with classes, rows, k and processes",
    "losses": "Losses",
    "compiled": "Compiled losses",
    "step": "A whole training step",
    "start": "Import and start-up",
    "data": "Loading photos",
    "draft": "Photos decoded at a fraction of their size",
    "writer": "Predictions and reports of many images",
    "sync": "Joining the counts of several processes",
    "heads": "Heads with very many classes",
}
INTRODUCTION = """# Benchmarks

What this library costs, beside something that everybody knows and beside the peers that can be installed. All figures are ratios of
times that took turns in one process, a few calls each round; a cell is the median of the rounds' ratios, and in brackets the
lower and upper quartile. The clock is the processor's time of the process, which others on the machine stretch little, with one thread.
Ratios of one row compare; two rows of different runs do not. Nothing here is asserted by a test.

`make bench` measures all of it anew and writes this page; each `tests/benchmarks/bench_*.py` runs alone, `--quick` in seconds, and
`--write` puts its tables here. The numbers lie in `tests/benchmarks/results.json`, from which `python tests/benchmarks/page.py` builds
the page.

GPU: not measured; no machine with one was at hand.
"""


class Ratio(NamedTuple):
    """The median of some rounds' ratios and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """Return median and quartiles of at least one ratio."""
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return cls(statistics.median(ratios), low, high)

    def __str__(self) -> str:
        return f"{digits(self.median)} ({digits(self.low)}–{digits(self.high)})"


class Table(NamedTuple):
    """One table of a section.

    Args:
        title: a sentence above it; it says the unit.
        columns: the heads; the first column is text.
        rows: of cells, which are shown by ``str``.
        note: sentences below it; "" for none.
        figure: a picture in docs/ that shows it, "" for none.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    figure: str = ""


def digits(number: float) -> str:
    """Return a number to two digits, three from 100 on."""
    return f"{number:.2g}" if number < 99.5 else f"{number:.0f}"


def quick() -> bool:
    """Return whether a quick look was asked for."""
    return "--quick" in sys.argv


def publish(name: str, tables: Sequence[Table]) -> None:
    """Print the tables and, with ``--write``, put them into results.json and the page."""
    shown = [table._replace(rows=[[str(cell) for cell in row] for row in table.rows]) for table in tables]
    print("\n\n".join(markdown(table) for table in shown))
    if "--write" not in sys.argv:
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = {"setting": setting(), "tables": [table._asdict() for table in shown]}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    build()


def setting() -> str:
    """Return on what the measurement ran."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return (
        f"torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)} of {os.cpu_count()} processors, which had "
        f"{load:.0f} × as many programs to run as they can at once"
    )


def markdown(table: Table) -> str:
    """Return a table in Markdown, below its title."""
    lines = [f"| {' | '.join(table.columns)} |", "|---|" + "---:|" * (len(table.columns) - 1)]
    # The quartiles stay beside their median.
    rows = ([row[0], *(cell.replace(" (", "\u00a0(") for cell in row[1:])] for row in table.rows)
    lines += [f"| {' | '.join(row)} |" for row in rows]
    parts = [table.title, "\n".join(lines), table.note, f"![{table.title}]({table.figure})" if table.figure else ""]
    return "\n\n".join(part for part in parts if part)


def text() -> str:
    """Return the page, from results.json and not_reached.md alone."""
    results = json.loads(RESULTS.read_text())
    parts = [INTRODUCTION.rstrip()]
    for name, heading in SECTIONS.items():
        if name in results:
            parts += [f"## {heading}", *(markdown(Table(**table)) for table in results[name]["tables"])]
            parts.append(f"`tests/benchmarks/bench_{name}.py`: {results[name]['setting']}.")
    parts.append((HERE / "not_reached.md").read_text().rstrip())
    return "\n\n".join(parts) + "\n"


def build() -> None:
    """Write docs/benchmarks.md."""
    (DOCS / "benchmarks.md").write_text(text())


if __name__ == "__main__":
    build()
