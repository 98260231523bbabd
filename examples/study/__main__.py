"""What helps top-k, where, and by how much: train, tune, test and write the pages. ``make study`` runs the standard form.

An interrupted run goes on where it was: results are lines of a file, and what is there, or in the parquet of the
repository, is not made again. At the end the parquet and the pages are written, the pages from the parquet alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
from grid_a import Budget
from grid_b import NETWORK_METHODS, run_network
from grid_c import run_and_ask
from methods import FOR_A_TAIL, methods_of
from pages import DOCS, write_pages
from records import RESULTS, Records, read_parquet, write_parquet
from settings import FULL, NETWORKS, NETWORKS_FULL, NETWORKS_SMOKE, SMOKE, STANDARD, Setting
from splits import available

__all__ = ["main"]

Cell = tuple[Callable[..., None], Setting, str, Budget]


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for and not there yet, then write the pages."""
    options = _parser().parse_args(arguments)
    if options.smoke:  # leaves the repository as it is
        options.results, docs = options.out / "results.parquet", options.out / "docs"
        docs.mkdir(parents=True, exist_ok=True)
        shutil.copy(DOCS / "study.md", docs)
    else:
        docs = options.docs
    records = Records(options.out / "results.jsonl", options.results)
    if not options.pages:
        _run(options, records)
    write_parquet(records.read(), options.results)
    write_pages(read_parquet(options.results), docs)


def _run(options: argparse.Namespace, records: Records) -> None:
    cells = [
        cell
        for cell in _cells(options)
        if (options.settings is None or cell[1].name in options.settings)
        and (options.methods is None or cell[2] in options.methods)
    ]
    if not all(available(setting, options.out) for _, setting, *_ in cells):
        print("Left out: the glyphs, since their fonts are not installed (apt-get install fonts-aenigma).")
        cells = [cell for cell in cells if available(cell[1], options.out)]
    with ProcessPoolExecutor(options.workers, initializer=_one_thread) as pool:
        running = {
            pool.submit(run, setting, method, budget, records, options.out): f"{setting.name}, {method}"
            for run, setting, method, budget in cells
        }
        for number, future in enumerate(as_completed(running), 1):
            future.result()
            print(f"{number} of {len(cells)}: {running[future]}", flush=True)


def _cells(options: argparse.Namespace) -> list[Cell]:
    """Return what is run, in this order: how, in which setting, which method, how much is tried."""
    settings = [*STANDARD, *(FULL if options.full else [])]
    networks = [*NETWORKS, *(NETWORKS_FULL if options.full else [])]
    budget, for_networks = Budget(), Budget(6, 2, 8)
    most: int | None = None  # methods a setting
    if options.smoke:
        settings, networks = SMOKE, NETWORKS_SMOKE
        budget, for_networks, most = Budget(3, 2, 3), Budget(2, 1, 2), 3
    small: list[Cell] = [
        (run_and_ask, setting, method.name, budget)
        for setting in settings
        for method in methods_of(setting, full=options.full)[:most]
    ]
    large: list[Cell] = [(run_network, setting, name, for_networks) for setting in networks for name in NETWORK_METHODS]
    # What carries the headline comes first in every setting, so that an interrupted run is of use.
    first = [cell for cell in small if cell[2] in NETWORK_METHODS or (cell[1].tail and cell[2] in FOR_A_TAIL)]
    return [*first, *large, *(cell for cell in small if cell not in first)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study", description=__doc__)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--smoke", action="store_true", help="a very small form that shows whether all works")
    form.add_argument("--full", action="store_true", help="more methods and settings")
    parser.add_argument("--settings", nargs="+", help="only these settings, by name")
    parser.add_argument("--methods", nargs="+", help="only these methods, by name")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes of one thread each")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/study"), help="folder of the lines and the cached glyphs"
    )
    parser.add_argument("--pages", action="store_true", help="train nothing, write the parquet and the pages alone")
    parser.add_argument("--results", type=Path, default=RESULTS, help="parquet of all results, old and new")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    return parser


def _one_thread() -> None:
    torch.set_num_threads(1)


if __name__ == "__main__":
    main(sys.argv[1:])
