"""Top-k accuracy for k = 1, 3, 5 against one bare pass over the scores, and against torchmetrics' own metric.

Run with ``python tests/benchmarks/bench_metrics.py``.

Bytes that must move: the scores once (N·C·itemsize). What is done beyond it in each block of about 2^18 elements, which
stays in cache: two comparisons into a mask of the scores' dtype and two sums of that mask.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torchmetrics.classification import MulticlassAccuracy

sys.path.insert(0, str(Path(__file__).parent))

from timing import best_times, peak_extra_bytes

from topk_lightning.metrics import TopKAccuracies, topk_accuracy

K = (1, 3, 5)
SHAPES = ((256, 10), (256, 1000), (5000, 1000), (50_000, 100), (256, 20_000))


def main() -> None:
    """Print the table."""
    table = Table(title=f"top-1, 3, 5 accuracy, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for column in ("scores", "dtype", "rows", "amax µs", "topk_accuracy µs", "÷ amax", "TopKAccuracies ÷ amax"):
        table.add_column(column, justify="right")
    for column in ("3 × torchmetrics ÷ amax", "extra memory ÷ scores"):
        table.add_column(column, justify="right")
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for kind in ("random", "all tied"):
                table.add_row(*measure(shape, dtype, kind))
    Console(width=160).print(table)


def measure(shape: tuple[int, int], dtype: torch.dtype, kind: str) -> list[str]:
    """Return one row of the table."""
    torch.manual_seed(0)
    scores = (torch.randn(shape) if kind == "random" else torch.ones(shape)).to(dtype)
    target = torch.randint(shape[1], shape[:1])
    collection = TopKAccuracies(K)
    peers = [MulticlassAccuracy(shape[1], top_k=k, average="micro", validate_args=False) for k in K]
    calls = {
        "amax": lambda: scores.amax(1),
        "function": lambda: topk_accuracy(scores, target, K),
        "collection": lambda: collection.update(scores, target),
    }
    if scores.numel() <= 5e6 and kind == "random":
        calls["peers"] = lambda: [peer.update(scores, target) for peer in peers]
    times = best_times(calls, rounds=4, seconds=0.03)
    size = scores.numel() * scores.itemsize
    memory = peak_extra_bytes(calls["function"]) / size
    return [
        f"{shape[0]}x{shape[1]}",
        str(dtype).removeprefix("torch."),
        kind,
        f"{times['amax'] * 1e6:.0f}",
        f"{times['function'] * 1e6:.0f}",
        f"{times['function'] / times['amax']:.1f}",
        f"{times['collection'] / times['amax']:.1f}",
        f"{times['peers'] / times['amax']:.0f}" if "peers" in times else "",
        f"{memory:.3f}",
    ]


if __name__ == "__main__":
    main()
