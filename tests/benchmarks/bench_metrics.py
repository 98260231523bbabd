"""Top-k accuracy for k = 1, 3, 5 against one bare pass over the scores, and against timm and torchmetrics.

Run with ``python tests/benchmarks/bench_metrics.py``.

Bytes that must move: the scores once (N·C·itemsize). What is done beyond it in each block of about 2^17 elements, which
stays in cache: two comparisons into a mask of the scores' dtype and two sums of that mask. "by columns" are scores whose
transpose lies in order, as the output of some layers; the bare pass is over a copy that lies in order.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

sys.path.insert(0, str(Path(__file__).parent))

from timing import best_times, peak_extra_bytes

from topk_lightning.metrics import TopKAccuracies, TopKAccuracy, topk_accuracy

K = (1, 3, 5)
SHAPES = ((256, 10), (256, 100), (256, 1000), (8192, 1000), (32_768, 100), (256, 21_841))


def timm_accuracy(output: Tensor, target: Tensor, topk: tuple[int, ...]) -> list[Tensor]:
    """Return what timm.utils.accuracy does, in percent."""
    from timm.utils import accuracy

    return accuracy(output, target, topk)  # type: ignore[no-any-return]


def main() -> None:
    """Print the table."""
    table = Table(title=f"top-1, 3, 5 accuracy, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for column in (
        "scores",
        "dtype",
        "rows",
        "amax µs",
        "topk_accuracy ÷ amax",
        "TopKAccuracy",
        "TopKAccuracies",
        "forward",
    ):
        table.add_column(column, justify="right")
    for column in ("timm", "3 × torchmetrics", "extra memory ÷ scores"):
        table.add_column(column, justify="right")
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for kind in ("random", "by columns", "all tied"):
                table.add_row(*measure(shape, dtype, kind))
    Console(width=160).print(table)


def measure(shape: tuple[int, int], dtype: torch.dtype, kind: str) -> list[str]:
    """Return one row of the table."""
    torch.manual_seed(0)
    scores = (torch.ones(shape) if kind == "all tied" else torch.randn(shape)).to(dtype)
    scores = scores.t().contiguous().t() if kind == "by columns" else scores
    ordered = scores.contiguous()
    target = torch.randint(shape[1], shape[:1])
    single = TopKAccuracy(5)
    collection = TopKAccuracies(K)
    peers = [MulticlassAccuracy(shape[1], top_k=k, average="micro", validate_args=False) for k in K]
    calls = {
        "amax": lambda: ordered.amax(1),
        "function": lambda: topk_accuracy(scores, target, K),
        "single": lambda: single.update(scores, target),
        "collection": lambda: collection.update(scores, target),
        "forward": lambda: collection(scores, target),
        "timm": lambda: timm_accuracy(scores, target, K),
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
        *(f"{times[name] / times['amax']:.1f}" for name in ("function", "single", "collection", "forward", "timm")),
        f"{times['peers'] / times['amax']:.0f}" if "peers" in times else "",
        f"{memory:.3f}",
    ]


if __name__ == "__main__":
    main()
