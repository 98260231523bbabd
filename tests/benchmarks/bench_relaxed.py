"""Soft top-k and top-k cross entropy against F.cross_entropy, forward and backward, and against difftopk where it is right.

Run with ``python tests/benchmarks/bench_relaxed.py``; one thread, float32, k = 5. The memory column is what a call holds
beyond the logits and their gradient, in units of the logits. difftopk (``pip install difftopk``) is optional: its
SoftSort and NeuralSort agree with ours up to its floor of 1e-7 inside the logarithm, and hold C × C or m × m matrices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from timing import best_times, peak_extra_bytes

from topk_lightning.losses import soft_topk_loss, topk_cross_entropy_loss

SHAPES = ((256, 100), (256, 1000), (64, 10_000), (16, 100_000))
LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "soft top-k, logistic": soft_topk_loss,
    "soft top-k, Laplace": lambda s, y: soft_topk_loss(s, y, membership="laplace"),
    "SoftSort, 16 candidates": topk_cross_entropy_loss,
    "SoftSort, all classes": lambda s, y: topk_cross_entropy_loss(s, y, num_candidates=None),
    "NeuralSort, 16 candidates": lambda s, y: topk_cross_entropy_loss(s, y, relaxation="neuralsort"),
    "NeuralSort, all classes": lambda s, y: topk_cross_entropy_loss(s, y, relaxation="neuralsort", num_candidates=None),
    "odd-even network, 16 candidates": lambda s, y: topk_cross_entropy_loss(s, y, relaxation="odd_even_network"),
    "bitonic network, 16 candidates": lambda s, y: topk_cross_entropy_loss(s, y, relaxation="bitonic_network"),
}


def main() -> None:
    """Print the table, then the differences to difftopk."""
    torch.set_num_threads(1)
    table = Table(title=f"forward + backward ÷ F.cross_entropy, torch {torch.__version__}, 1 thread, float32")
    table.add_column("loss")
    for shape in SHAPES:
        table.add_column(f"{shape[0]}x{shape[1]}", justify="right")
        table.add_column("memory", justify="right")
    columns = [measure(*shape) for shape in SHAPES]
    for name in columns[0]:
        table.add_row(name, *(cell for column in columns for cell in column[name]))
    Console(width=180).print(table)
    for line in differences():
        print(line)


def peer(method: str, num_classes: int, candidates: int | None) -> Callable[..., torch.Tensor] | None:
    """Return difftopk's loss at its inverse temperature 1/2, or None where it is not installed."""
    try:
        from difftopk import TopKCrossEntropyLoss
    except ImportError:
        return None
    return TopKCrossEntropyLoss(method, inverse_temperature=0.5, p_k=[0.2] * 5, n=num_classes, m=candidates)


def measure(num_rows: int, num_classes: int) -> dict[str, tuple[str, str]]:
    """Return time and memory of each loss for one shape."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num_rows, num_classes, generator=generator).requires_grad_()
    target = torch.randint(num_classes, (num_rows,), generator=generator)

    def call(loss: Callable[..., torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            logits.grad = None
            loss(logits, target).backward()

        return run

    losses = {"F.cross_entropy (ms)": F.cross_entropy, **LOSSES}
    if (theirs := peer("softsort", num_classes, 16)) is not None:
        losses["difftopk SoftSort, 16 candidates"] = theirs
    calls = {name: call(loss) for name, loss in losses.items()}
    times = best_times(calls, rounds=5, seconds=0.1)
    base = times["F.cross_entropy (ms)"]
    size = logits.numel() * logits.itemsize
    cells = {}
    for name, seconds in times.items():
        logits.grad = None
        memory = peak_extra_bytes(calls[name]) / size - 1
        cells[name] = (f"{seconds * 1e3:.2f}" if seconds is base else f"{seconds / base:.1f}", f"{memory:.1f}")
    return cells


def differences() -> list[str]:
    """Say how far our values are from difftopk's."""
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(64, 100, generator=generator), torch.randint(100, (64,), generator=generator)
    lines = []
    for method in ("softsort", "neuralsort"):
        for candidates in (16, None):
            theirs = peer(method, 100, candidates)
            if theirs is not None:
                ours = topk_cross_entropy_loss(logits, target, relaxation=method, num_candidates=candidates)
                lines.append(
                    f"{method}, {candidates} candidates: difftopk − ours = {theirs(logits, target) - ours:.1e}"
                )
    return lines


if __name__ == "__main__":
    main()
