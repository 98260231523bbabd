"""Each loss, forward and backward, against F.cross_entropy in one run, and against the losses of others.

Run with ``python tests/benchmarks/bench_losses.py``: it prints Markdown tables, each below the page of docs/ that it
belongs to. ``--write`` puts them there, between the lines ``<!-- costs -->`` and ``<!-- end of costs -->``, and the costs
into the table of docs/choosing.md. Peers: see peers.py; the numbers of those that are not installed are missing.

``--quick`` takes the smallest shape alone. Compiled losses: bench_compiled.py.

All candidates take turns in one process, on one thread; a figure is the median of the rounds' ratios. Cross entropy itself moves by a
factor of two to three with the state of the allocator, so that is fixed from outside: "reused", blocks of memory stay with
the process and are used again, as in a training with a good allocator; "fresh", large blocks go back to the system and are
faulted in again at each call. The ratios of the pages are those of "reused", where cross entropy is fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from cost_pages import BASE, LOSSES, SHAPES, pages, variants, write_pages
from page import Ratio, Table, digits, publish, quick
from peers import PEERS, hard_cases, missing_peers
from timing import best_times, peak_extra_bytes, ratios_of_rounds

from topk_lightning import losses

MEMORY_SHAPE = (64, 10_000)
MALLOC = {
    "reused": {
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
        "MALLOC_TOP_PAD_": str(2**26),
    },
    "fresh": {"MALLOC_MMAP_THRESHOLD_": str(2**16)},
}

Loss = Callable[[Tensor, Tensor], Tensor]


def ours(num_classes: int) -> dict[str, Loss]:
    """Return each loss with its default options, or the variants that are measured of it."""
    found: dict[str, Loss] = {BASE: F.cross_entropy}
    for name in LOSSES:
        for row, options in variants(name).items():
            more = {"class_counts": range(1, num_classes + 1)} if "LogitAdjusted" in name else {}
            found[row] = getattr(losses, name)(**options, **more)
    return found


def peers(num_rows: int, num_classes: int) -> dict[str, Loss]:
    """Return the peers that are installed, but for those whose C × C matrices would not fit into the memory."""
    return {
        name: peer.make(num_classes, 5)
        for name, peer in PEERS.items()
        if peer.package is not None and not (peer.squared and num_rows * num_classes**2 > 2**24)
    }


def measure(state: str) -> dict[str, Any]:
    """Return seconds of each loss at each shape and, with the blocks reused, what it holds in units of the logits."""
    found: dict[str, Any] = {"torch": torch.__version__, "seconds": {}, "ratios": {}, "memory": {}}
    for shape in SHAPES[-1:] if quick() else SHAPES:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(shape, generator=generator).requires_grad_()
        target = torch.randint(shape[1], shape[:1], generator=generator)

        def step(loss: Loss, logits: Tensor = logits, target: Tensor = target) -> Callable[[], None]:
            def run() -> None:
                logits.grad = None
                loss(logits, target).backward()

            return run

        others = peers(*shape) if state == "reused" else {}
        calls = {name: step(loss) for name, loss in (ours(shape[1]) | others).items()}
        base = best_times({BASE: calls[BASE]})[BASE]
        for name, ratios in ratios_of_rounds(calls, BASE, rounds=3 if quick() else 5, seconds=0.02).items():
            ratio = Ratio.of(ratios)
            found["seconds"].setdefault(name, {})[str(shape)] = base * ratio.median
            found["ratios"].setdefault(name, {})[str(shape)] = str(ratio)
        if shape == MEMORY_SHAPE and state == "reused":
            size = logits.numel() * logits.element_size()

            def forget(logits: Tensor = logits) -> None:
                logits.grad = None

            found["memory"] = {name: peak_extra_bytes(call, forget) / size - 1 for name, call in calls.items()}
    return found


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the ratios of both states of the allocator with their spread."""
    titles = {"reused": "Blocks of memory are reused.", "fresh": "Large blocks go back to the system in each call."}
    result = []
    for state, of_state in found.items():
        shapes = [shape for shape in map(str, SHAPES) if shape in of_state["ratios"][BASE]]
        milliseconds = " / ".join(digits(1e3 * of_state["seconds"][BASE][shape]) for shape in shapes)
        rows = []
        for name, ratios in of_state["ratios"].items():
            memory = of_state["memory"].get(name)
            rows.append([
                f"{BASE}, {milliseconds} ms" if name == BASE else name,
                *(ratios.get(shape, "–") for shape in shapes), "–" if memory is None else digits(memory),
            ])  # fmt: skip
        title = f"Time forward and backward ÷ `F.cross_entropy`; k = 5, float32. {titles[state]}"
        note = f"Memory is what is held beyond the gradient, in units of the logits, at {MEMORY_SHAPE}."
        result.append(Table(title, ["", *shapes, "memory"], rows, note))
    return result


def in_process(state: str) -> dict[str, Any]:
    """Measure in a process of its own, with the allocator in that state."""
    options = {"env": {**os.environ, **MALLOC[state], "OMP_NUM_THREADS": "1"}, "stdout": subprocess.PIPE, "check": True}
    words = [sys.executable, __file__, "--measure", state, *(["--quick"] if quick() else [])]
    done = subprocess.run(words, **options)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure both states of the allocator, then print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/")
    parser.add_argument("--quick", action="store_true", help="the smallest shape alone; prints only")
    parser.add_argument("--measure", choices=MALLOC, help="print the figures of one state of the allocator as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the processes that measure
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    if options.quick:
        publish("losses", tables({"reused": in_process("reused")}))
        return
    errors = {name: hard_cases(peer) for name, peer in PEERS.items() if peer.package is not None}
    found = {state: in_process(state) for state in MALLOC}
    texts = pages(found["reused"], found["fresh"], errors)
    for page, text in texts.items():
        print(f"\n{page}:\n\n{text}")
    print(f"\n{missing_peers()}")
    if options.write:
        write_pages(texts, found["reused"])
    publish("losses", tables(found))


if __name__ == "__main__":
    main()
