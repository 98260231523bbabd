"""How time grows with classes, rows and k: log–log, ours and the peers, in one run.

Run with ``python tests/benchmarks/bench_growth.py [--quick] [--write]``; see page.py. The picture is docs/assets/growth.svg. For
processes see bench_sync.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent))

from bench_metrics import peers
from page import DOCS, Table, digits, publish, quick
from timing import best_times

from topk_lightning import losses
from topk_lightning.metrics import topk_accuracy

FIGURE = "assets/growth.svg"
Calls = dict[str, Callable[[], object]]


def metric_calls(num_rows: int, num_classes: int, k: int) -> Calls:
    """Return accuracies at one k."""
    scores, target = torch.randn(num_rows, num_classes), torch.randint(num_classes, (num_rows,))
    calls: Calls = {
        "`amax`": lambda: scores.amax(1),
        "`topk_accuracy`": lambda: topk_accuracy(scores, target, k),
    }
    if scores.numel() <= 3e6:
        found = peers(scores, target)
        calls |= {name: found[name] for name in ("timm", "torchmetrics") if name in found}
    return calls


def loss_calls(num_rows: int, num_classes: int, k: int) -> Calls:
    """Return losses forward and backward."""
    logits = torch.randn(num_rows, num_classes, requires_grad=True)
    target = torch.randint(num_classes, (num_rows,))

    def step(loss: Callable[..., torch.Tensor]) -> Callable[[], object]:
        def run() -> None:
            logits.grad = None
            loss(logits, target).backward()  # type: ignore[no-untyped-call]

        return run

    return {
        "`cross_entropy`": step(F.cross_entropy),
        "`SmoothTopKSVMLoss`": step(losses.SmoothTopKSVMLoss(k)),
        "`TruncatedTopKEntropyLoss`": step(losses.TruncatedTopKEntropyLoss(k)),
        "`SoftTopKLoss`": step(losses.SoftTopKLoss(k)),
    }


AXES: dict[str, tuple[str, Callable[[int], Calls], tuple[int, ...]]] = {
    "accuracy, C": (
        "classes, 64 rows, k = 5",
        lambda c: metric_calls(64, c, 5),
        (10, 100, 1000, 10_000, 100_000, 1_000_000),
    ),
    "accuracy, N": ("rows, 100 classes, k = 5", lambda n: metric_calls(n, 100, 5), (16, 256, 4096, 65_536)),
    "accuracy, k": ("k, 256 rows, 1000 classes", lambda k: metric_calls(256, 1000, k), (1, 5, 20, 100, 500)),
    "losses, C": ("classes, 16 rows, k = 5", lambda c: loss_calls(16, c, 5), (10, 100, 1000, 10_000, 100_000)),
    "losses, N": ("rows, 100 classes, k = 5", lambda n: loss_calls(n, 100, 5), (16, 256, 4096)),
    "losses, k": ("k, 64 rows, 2000 classes", lambda k: loss_calls(64, 2000, k), (1, 2, 5, 10, 20, 50)),
}


def main() -> None:
    """Measure along each axis, and publish tables and picture."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tables, curves = [], {}
    for name, (label, make, values) in AXES.items():
        measured = {
            value: best_times(make(value), rounds=3, seconds=0.01) for value in values[: 3 if quick() else None]
        }
        names = list(next(iter(measured.values())))
        curves[name] = {call: {v: times[call] for v, times in measured.items() if call in times} for call in names}
        base = names[0]
        rows = [
            [
                f"{value:,}",
                f"{times[base] * 1e6:.0f} µs",
                *(digits(times[n] / times[base]) if n in times else "–" for n in names[1:]),
            ]
            for value, times in measured.items()
        ]
        tables.append(Table(f"{name}: time ÷ {base}.", [label, base, *names[1:]], rows))
    tables[-1] = tables[-1]._replace(figure=FIGURE, note="All of it, on logarithmic axes:")
    publish("growth", tables)
    if "--write" in sys.argv:
        draw(curves)


def draw(curves: dict[str, dict[str, dict[int, float]]]) -> None:
    """Draw milliseconds along each axis."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 8})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10, 6), sharey="row", constrained_layout=True)
    for ax, (axis, lines) in zip(axes.flat, curves.items(), strict=True):
        for call, points in lines.items():
            ax.loglog(
                list(points),
                [1e3 * seconds for seconds in points.values()],
                marker="o",
                markersize=3,
                label=call.strip("`"),
            )
        ax.set_xlabel(AXES[axis][0])
        ax.grid(alpha=0.3)
    for row in axes:
        row[0].set_ylabel("ms")
        row[0].legend(frameon=False)
    figure.savefig(DOCS / FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
