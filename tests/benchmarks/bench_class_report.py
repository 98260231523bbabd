"""One update of a class report against one of TopKAccuracy and a bare pass over the scores; near-duplicates of 50,000.

Run with ``python tests/benchmarks/bench_class_report.py``.

The report reads the scores twice: once for the rank of the target, as TopKAccuracy does, and once for the best class.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torchmetrics.classification import MulticlassConfusionMatrix

sys.path.insert(0, str(Path(__file__).parent))

from timing import best_times

from topk_lightning.data._perceptual_hash import close, fingerprint
from topk_lightning.metrics import ClassReport, TopKAccuracy

SHAPES = ((256, 10), (256, 1000), (5000, 1000), (256, 2048), (256, 21_841))


def main() -> None:
    """Print the tables."""
    table = Table(title=f"one update, float32, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for column in ("scores", "confusions", "report µs", "÷ amax", "÷ TopKAccuracy(5)", "÷ torchmetrics' table alone"):
        table.add_column(column, justify="right")
    for shape in SHAPES:
        table.add_row(*measure(shape))
    console = Console(width=120)
    console.print(table)
    console.print(near_duplicates())


def measure(shape: tuple[int, int]) -> list[str]:
    """Return one row of the table."""
    torch.manual_seed(0)
    scores, target = torch.randn(shape), torch.randint(shape[1], shape[:1])
    report, accuracy = ClassReport(shape[1]), TopKAccuracy(5)
    calls = {
        "amax": lambda: scores.amax(1),
        "accuracy": lambda: accuracy.update(scores, target),
        "report": lambda: report.update(scores, target),
    }
    if not report.is_sparse:
        peer = MulticlassConfusionMatrix(shape[1], validate_args=False)
        calls["peer"] = lambda: peer.update(scores, target)
    times = best_times(calls, rounds=5)
    return [
        f"{shape[0]}x{shape[1]}",
        "list" if report.is_sparse else "table",
        f"{times['report'] * 1e6:.0f}",
        f"{times['report'] / times['amax']:.1f}",
        f"{times['report'] / times['accuracy']:.2f}",
        f"{times['report'] / times['peer']:.2f}" if "peer" in times else "",
    ]


def near_duplicates() -> str:
    """Return what the fingerprint of one image costs, and the comparison of 45,000 with 5,000."""
    from PIL import Image

    image = Image.radial_gradient("L").resize((500, 375)).convert("RGB")
    once = best_times({"fingerprint": lambda: fingerprint(image)})["fingerprint"]
    bits = torch.randint(2, (50_000, 64)).bool()
    start = time.perf_counter()
    found = sum(1 for _ in close(bits[:45_000], bits[45_000:], 6))
    took = time.perf_counter() - start
    return f"fingerprint of 500x375: {once * 1e3:.2f} ms; 45,000 with 5,000 hashes: {took:.1f} s, {found} close"


if __name__ == "__main__":
    main()
