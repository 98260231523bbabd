"""Each loss, forward and backward, against F.cross_entropy in one run; where they can be had, against their authors' code.

Run with ``python tests/benchmarks/bench_losses.py [threads]``.

Cross entropy itself moves by a factor of three with the state of the allocator (whether its large buffers are handed
back to the system and faulted in again), so its own time stands beside the ratios. ``pip install difftopk`` adds a peer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from timing import best_times, peak_extra_bytes

from topk_lightning import losses

SHAPES = ((256, 100), (256, 1000), (64, 10_000), (16, 100_000))
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross entropy": F.cross_entropy,
    "smooth top-k SVM": losses.SmoothTopKSVMLoss(),
    "truncated entropy": losses.TruncatedTopKEntropyLoss(),
    "grouped CE": losses.GroupedTopKCrossEntropyLoss(),
    "calibrated hinge": losses.CalibratedTopKHingeLoss(),
    "noised hinge": losses.NoisedTopKHingeLoss(),
    "temperature CE": losses.TemperatureCrossEntropyLoss(temperature=2.0),
    "soft top-k": losses.SoftTopKLoss(),
    "top-k CE, SoftSort": losses.TopKCrossEntropyLoss(),
    "top-k CE, SoftSort, all classes": losses.TopKCrossEntropyLoss(num_candidates=None),
}


def peers(num_classes: int) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return the authors' losses that are installed."""
    try:
        import difftopk
    except ImportError:
        return {}
    return {
        "difftopk, SoftSort": difftopk.TopKCrossEntropyLoss(
            diffsort_method="softsort", inverse_temperature=0.5, p_k=[0.2] * 5, n=num_classes, m=16
        )
    }


def main() -> None:
    """Print the table."""
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    title = f"k = 5, float32, forward + backward, torch {torch.__version__}, {torch.get_num_threads()} threads"
    table = Table(
        "loss",
        *(f"{shape} ÷ CE" for shape in SHAPES),
        "memory beyond the gradient ÷ logits at (64, 10000)",
        title=title,
    )
    columns, memory = [], {}
    for shape in SHAPES:
        times, extra = measure(shape)
        columns.append(times)
        memory = extra or memory
    table.add_row("cross entropy, µs", *(f"{times['cross entropy'] * 1e6:.0f}" for times in columns))
    for name in columns[0]:
        ratios = (f"{times[name] / times['cross entropy']:.2f}" for times in columns)
        table.add_row(name, *ratios, f"{memory[name]:.2f}")
    Console(width=150).print(table)


def measure(shape: tuple[int, int]) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds of each loss, and bytes held at most beyond the gradient as a multiple of the logits."""
    torch.manual_seed(0)
    logits = torch.randn(shape, requires_grad=True)
    target = torch.randint(shape[1], shape[:1])

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
        def run() -> None:
            logits.grad = None
            loss(logits, target).backward()

        return run

    calls = {name: step(loss) for name, loss in (LOSSES | peers(shape[1])).items()}
    times = best_times(calls)
    if shape != (64, 10_000):
        return times, {}
    size = logits.numel() * logits.element_size()
    # The profile does not see that the old gradient is freed, so what it finds includes the new one.
    return times, {name: peak_extra_bytes(call) / size - 1 for name, call in calls.items()}


if __name__ == "__main__":
    main()
