"""What torch's default compiler makes of each loss on a CPU, forward and backward: compiled ÷ eager at (256, 1000).

Run with ``python tests/benchmarks/bench_compiled.py [--quick] [--write] [LOSS …]``; see page.py. Compiling takes up to minutes a loss;
with names only these are compiled.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from bench_losses import Loss, ours
from page import Ratio, Table, publish, quick
from timing import ratios_of_rounds

SHAPE = (256, 1000)
QUICK = ("TemperatureCrossEntropyLoss",)


def main() -> None:
    """Compile, measure and publish."""
    torch.set_num_threads(1)
    names = [word for word in sys.argv[1:] if not word.startswith("--")] or (QUICK if quick() else ())
    logits, target = torch.randn(SHAPE, requires_grad=True), torch.randint(SHAPE[1], SHAPE[:1])

    def step(loss: Loss) -> Callable[[], None]:
        def run() -> None:
            logits.grad = None
            loss(logits, target).backward()

        return run

    rows = []
    for name, loss in ours(SHAPE[1]).items():
        if names and name not in names:
            continue
        torch.compiler.reset()
        calls = {"eager": step(loss), "compiled": step(torch.compile(loss, fullgraph=True))}
        start = time.process_time()
        calls["compiled"]()
        took = time.process_time() - start
        ratio = Ratio.of(ratios_of_rounds(calls, "eager", rounds=5, seconds=0.02)["compiled"])
        rows.append([name, str(ratio), f"{took:.0f} s"])
        print(*rows[-1], flush=True, file=sys.stderr)
    title = f"Compiled ÷ eager at {SHAPE}, forward and backward; below 1 compiling pays, the goal is 1.2 at most."
    note = "" if not names else "Other losses were not compiled in this run."
    publish("compiled", [Table(title, ["", "compiled ÷ eager", "first call"], rows, note)])


if __name__ == "__main__":
    main()
