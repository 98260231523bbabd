"""What prediction sets cost on 100,000 × 1,000 float32 scores in memory, on one thread.

Run with ``python tests/benchmarks/bench_sets.py``.
"""

from __future__ import annotations

import time

import torch
from rich.console import Console

from topk_lightning import PredictionSets

ROWS, CLASSES = 100_000, 1_000


def main() -> None:
    """Measure fit and sets of each method, in seconds of the processor."""
    torch.set_num_threads(1)
    generator, console = torch.Generator().manual_seed(0), Console()
    logits = 2 * torch.randn(ROWS, CLASSES, generator=generator)
    target = logits.argmax(1).where(torch.rand(ROWS, generator=generator) < 0.5, torch.randint(CLASSES, (ROWS,)))
    for method in ("lac", "aps", "raps", "rank"):
        sets, start = PredictionSets(method), time.process_time()
        sets.fit(logits, target)
        fitted = time.process_time()
        sets.mask(logits)
        shown = time.process_time()
        console.print(f"{method:<5} fit {fitted - start:5.2f} s, sets {shown - fitted:5.2f} s", highlight=False)


if __name__ == "__main__":
    main()
