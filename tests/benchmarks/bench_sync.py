"""Joining the counts of several processes on one machine (gloo): seconds and messages, ours and torchmetrics'.

Run with ``python tests/benchmarks/bench_sync.py [--quick] [--write]``; see page.py. The processes share the processors of one
machine, so seconds say how the two compare and how they grow, not what a network takes; the bytes are counted, not guessed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from page import DOCS, Ratio, Table, digits, publish, quick

from tests.distributed import run_processes

K = (1, 3, 5)
CASES = {
    "micro, any C": ("micro", 1000),
    "macro, C = 1,000": ("macro", 1000),
    "macro, C = 1,000,000": ("macro", 1_000_000),
}
FIGURE = "assets/growth_processes.svg"
# torchmetrics makes a one-hot of the rows: more classes would not fit.
PEER = 1000


class Counted:
    """Counts the calls of collectives and the bytes that a process hands them."""

    NAMES = ("all_reduce", "all_gather", "barrier")

    def __enter__(self) -> Counted:
        self.calls, self.bytes, self.before = 0, 0, {name: getattr(dist, name) for name in self.NAMES}
        for name in self.NAMES:
            setattr(dist, name, self.counting(self.before[name]))
        return self

    def counting(self, call: Any) -> Any:
        """Return the collective, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            for arg in args:
                if isinstance(arg, torch.Tensor):
                    self.bytes += arg.numel() * arg.itemsize
            return call(*args, **kwargs)

        return counted

    def __exit__(self, *_: object) -> None:
        for name, call in self.before.items():
            setattr(dist, name, call)


def measure(rank: int, world_size: int, average: str, num_classes: int, rounds: int) -> dict[str, Any]:
    """Return the seconds of ``compute`` in each round, its messages and bytes, for ours and for the peer."""
    from torchmetrics import MetricCollection
    from torchmetrics.classification import MulticlassAccuracy

    from topk_lightning.metrics import TopKAccuracies

    metrics: dict[str, Any] = {"ours": TopKAccuracies(K, num_classes=num_classes, average=average)}
    if num_classes <= PEER:
        peers = {f"{k}": MulticlassAccuracy(num_classes, top_k=k, average=average, validate_args=False) for k in K}
        metrics["torchmetrics"] = MetricCollection(peers, compute_groups=False)
    generator = torch.Generator().manual_seed(rank)
    scores, target = torch.randn(16, num_classes, generator=generator), torch.randint(num_classes, (16,))
    found: dict[str, Any] = {name: [] for name in metrics}
    for _ in range(rounds):
        for name, metric in metrics.items():
            metric.update(scores, target)
            dist.barrier()
            with Counted() as counted:
                start = time.perf_counter()
                metric.compute()
                found[name].append(time.perf_counter() - start)
            found[f"{name} sent"] = (counted.calls, counted.bytes)
    states = metrics["ours"]["top1"].states().values()
    found["state"] = sum(state.numel() * state.itemsize for state in states)
    return found


def main() -> None:
    """Measure 2 and 4 processes, and publish."""
    rows: list[list[object]] = []
    curves: dict[str, dict[int, float]] = {}
    for case, (average, num_classes) in list(CASES.items())[: 1 if quick() else None]:
        for world_size in (2,) if quick() else (2, 4, 8) if num_classes <= PEER else (2, 4):
            found = run_processes(
                measure, world_size, average, num_classes, 3 if quick() else 15 if num_classes < 10**6 else 4
            )[0]
            calls, sent = found["ours sent"]
            times = Ratio.of([1e3 * seconds for seconds in found["ours"][1:]])
            curves.setdefault(f"ours, {case}", {})[world_size] = times.median
            row = [f"{case}: {world_size} processes", f"{times} ms", calls, f"{sent:,}", f"{sent / found['state']:.2f}"]
            if "torchmetrics" in found:
                peer = Ratio.of([1e3 * seconds for seconds in found["torchmetrics"][1:]])
                curves.setdefault(f"torchmetrics, {case}", {})[world_size] = peer.median
                row += [f"{peer} ms", found["torchmetrics sent"][0], digits(peer.median / times.median)]
            rows.append(row + ["–"] * (8 - len(row)))
    title = "`compute()` of top-1, 3 and 5 over processes of one machine, by gloo."
    columns = [
        "states",
        "ours",
        "collectives",
        "bytes given to them",
        "÷ state",
        "torchmetrics",
        "collectives",
        "÷ ours",
    ]
    note = (
        "Wall time; with more processes than processors they wait for each other. A ring of R processes sends 2 (R − 1) / R times the bytes given to an all-reduce. torchmetrics gathers R copies of each "
        "state of each metric; a million classes were not tried with it. Small tables are sent for each of the three members, so a micro "
        "accuracy gives 3 × its state; tables of all classes are sent once."
    )
    publish("sync", [Table(title, columns, rows, note, FIGURE)])
    if "--write" in sys.argv:
        draw(curves)


def draw(curves: dict[str, dict[int, float]]) -> None:
    """Draw milliseconds by the number of processes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "processes", "svg.fonttype": "none", "font.size": 8})
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 3.6), constrained_layout=True)
    for name, points in curves.items():
        ax.loglog(list(points), list(points.values()), marker="o", markersize=3, label=name)
    ax.set(xlabel="processes", ylabel="ms")
    ax.set_xticks([2, 4, 8], ["2", "4", "8"], minor=False)
    ax.set_xticks([], minor=True)
    ax.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(DOCS / FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
