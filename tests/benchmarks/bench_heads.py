"""Ranks and losses of a linear head of very many classes, against the way that holds all scores; prints a Markdown table.

Run with ``python tests/benchmarks/bench_heads.py [rows classes width]``; ``--write`` puts the table into
docs/many_classes.md, between the lines ``<!-- costs -->`` and ``<!-- end of costs -->``, and into docs/benchmarks.md. ``--quick``: a
small head. One thread, processor time of this
process, the best of rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from page import Table, publish
from timing import best_times, peak_extra_bytes

from topk_lightning import LinearTopKLoss, target_rank, target_rank_from_features
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss

PAGE = Path(__file__).parents[2] / "docs" / "many_classes.md"
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"

Calls = tuple[dict[str, Callable[[], object]], Callable[[], object]]


def rank_calls(num_rows: int, num_classes: int, width: int) -> Calls:
    """Return both ways to the ranks, and what forgets the gradients of a call."""
    features, head, target = _batch(num_rows, num_classes, width)

    @torch.no_grad()
    def whole() -> torch.Tensor:
        return target_rank(head(features), target)

    def parts() -> torch.Tensor:
        return target_rank_from_features(features, head.weight, head.bias, target)

    print(f"{int((whole() != parts()).sum())} of {num_rows} ranks differ")
    calls = {"rank: `target_rank(head(features), target)`": whole, "rank: `target_rank_from_features`": parts}
    return calls, lambda: None


def loss_calls(num_rows: int, num_classes: int, width: int) -> Calls:
    """Return both ways to the value and gradient of losses, and what forgets the gradients of a call."""
    features, head, target = _batch(num_rows, num_classes, width)
    features.requires_grad_()

    def step(call: Callable[[], torch.Tensor]) -> Callable[[], object]:
        def run() -> None:
            forget()
            call().backward()  # type: ignore[no-untyped-call]

        return run

    def forget() -> None:
        features.grad = None
        head.zero_grad(set_to_none=True)

    found: dict[str, Callable[[], object]] = {}
    for name, loss in (
        ("cross entropy", nn.CrossEntropyLoss()),
        ("temperature cross entropy", TemperatureCrossEntropyLoss()),
        ("smooth top-k SVM", SmoothTopKSVMLoss(k=5)),
    ):
        module = LinearTopKLoss(head, loss)
        found[f"{name}: `loss(head(features), target)`"] = step(lambda loss=loss: loss(head(features), target))
        found[f"{name}: `LinearTopKLoss`"] = step(lambda module=module: module(features, target))
    return found, forget


def _batch(num_rows: int, num_classes: int, width: int) -> tuple[torch.Tensor, nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    head = nn.Linear(width, num_classes)
    return torch.randn(num_rows, width), head, torch.randint(num_classes, (num_rows,))


def table(calls: dict[str, Callable[[], object]], forget: Callable[[], object], rounds: int) -> list[str]:
    """Return a line for each call; each second one is in units of the one before it."""
    seconds = best_times(calls, rounds=rounds)
    memory = {name: peak_extra_bytes(call, forget) / 2**20 for name, call in calls.items()}
    lines, before = [], ""
    for number, name in enumerate(calls):
        before = before if number % 2 else name
        lines.append(
            f"| {name} | {seconds[name]:.2f} s | {seconds[name] / seconds[before]:.2f} "
            f"| {memory[name]:,.0f} MiB | {memory[name] / memory[before]:.3f} |"
        )
    return lines


def main() -> None:
    """Measure and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", nargs="*", type=int, help="rows, classes and width of the features")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    parser.add_argument("--quick", action="store_true", help="256 rows of 20,000 classes")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    shape = tuple(options.shape) or ((256, 20_000, 64) if options.quick else (4096, 100_000, 512))
    torch.set_num_threads(1)
    lines = ["| | time | ÷ whole | memory | ÷ whole |", "|---|---:|---:|---:|---:|"]
    for make in (rank_calls, loss_calls):
        lines += table(*make(*shape), options.rounds)
    lines += [
        "",
        f"{shape[0]:,} rows, {shape[1]:,} classes, features of width {shape[2]}, float32, one CPU thread, torch "
        f"{torch.__version__.partition('+')[0]}: processor time of rank, or of loss with gradients by features, weight and bias; memory "
        "is what a call held at most beyond what was there before. `tests/benchmarks/bench_heads.py`.",
    ]
    text = "\n".join(lines)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:-2]]
    publish(
        "heads",
        [Table("Ranks and losses from features.", ["", "time", "÷ whole", "memory", "÷ whole"], cells, lines[-1])],
    )
    if options.write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
