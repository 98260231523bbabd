"""What prediction sets cost on 100,000 × 1,000 float32 scores in memory, on one thread.

Run with ``python tests/benchmarks/bench_sets.py``; ``--rows 10000`` for a quick look.
"""

from __future__ import annotations

import argparse
import time

import torch
from rich.console import Console

from topk_lightning import PredictionSets

CLASSES = 1_000


def main() -> None:
    """Measure fit and sets of each method, in seconds of the processor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="images, 100,000 if not said")
    rows = parser.parse_args().rows
    torch.set_num_threads(1)
    generator, console = torch.Generator().manual_seed(0), Console()
    logits = 2 * torch.randn(rows, CLASSES, generator=generator)
    other = torch.randint(CLASSES, (rows,), generator=generator)
    target = logits.argmax(1).where(torch.rand(rows, generator=generator) < 0.5, other)
    for method in ("lac", "aps", "raps", "rank"):
        sets, start = PredictionSets(method), time.process_time()
        sets.fit(logits, target)
        fitted = time.process_time()
        sets.mask(logits)
        shown = time.process_time()
        console.print(f"{method:<5} fit {fitted - start:5.2f} s, sets {shown - fitted:5.2f} s", highlight=False)


if __name__ == "__main__":
    main()
