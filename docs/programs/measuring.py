"""What the measurements of these pages share: runs kept as lines of a file, and a table of mean ± deviation over seeds."""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

__all__ = ["measure", "parser", "table", "write"]

ASSETS = Path(__file__).parents[1] / "assets"
K = (1, 5)

Run = dict[str, Any]


def parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """Return a parser of the options that each measurement has."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    found.add_argument("--accelerator", default="cpu")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--out", type=Path, default=ASSETS / out)
    return found


def measure(options: argparse.Namespace, setting: str, keys: Iterable[Run], run: Callable[[Run], Run]) -> list[Run]:
    """Return the runs of a setting, made by `run` where the file `options.out` does not have them yet.

    Args:
        options: what the parser found.
        setting: what runs must share to be compared.
        keys: what tells the runs apart, in the order in which they are made.
        run: makes a run: from its key to its figures.
    """
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    runs = [run for run in map(json.loads, lines) if run["setting"] == setting]
    for key in keys:
        if not any(key.items() <= one.items() for one in runs):
            runs.append({**key, "setting": setting, **run(key)})
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(runs[-1], ensure_ascii=False) + "\n")
            Console().print(runs[-1])
    return runs


def table(runs: list[Run], baselines: Mapping[str, str | None], first: str) -> list[str]:
    """Return the lines of a Markdown table with a row for each variant, and what it differs from its baseline by.

    Args:
        runs: of one setting, with "variant", "seed", "top1" and "top5".
        baselines: the baseline of each variant, in the order of the rows.
        first: head of the first column.
    """

    def values(name: str | None, k: int) -> dict[int, float]:
        return {one["seed"]: one[f"top{k}"] for one in runs if one["variant"] == name}

    def spread(numbers: list[float], sign: str = "") -> str:
        deviation = f" ± {100 * statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
        return f"{100 * statistics.mean(numbers):{sign}.1f}{deviation}" if numbers else "–"

    heads = [first, *(f"top-{k}, %" for k in K), *(f"top-{k} − baseline" for k in K)]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (2 * len(K))]
    for name, baseline in baselines.items():
        if not values(name, K[0]):
            continue
        cells = [spread(list(values(name, k).values())) for k in K]
        for k in K:
            base = values(baseline, k)
            cells.append(spread([value - base[seed] for seed, value in values(name, k).items() if seed in base], "+"))
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def write(options: argparse.Namespace, lines: list[str]) -> None:
    """Print the lines, and write them beside the file of runs."""
    text = "\n".join([*lines, ""])
    options.out.with_suffix(".txt").write_text(text, encoding="utf-8")
    Console().print(text, markup=False)
