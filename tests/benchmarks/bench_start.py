"""How long it takes to start: imports and commands, each in a fresh process.

Run with ``python tests/benchmarks/bench_start.py [--quick] [--write]``; see page.py. The figures are seconds of the processor, of the
whole process and what it started; all take turns.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from page import Table, publish, quick

PROGRAMS = {
    "an empty program": ["-c", ""],
    "`import torch`": ["-c", "import torch"],
    "`import torchmetrics`": ["-c", "import torchmetrics"],
    "`import pytorch_lightning`": ["-c", "import pytorch_lightning"],
    "`import topk_lightning`": ["-c", "import topk_lightning"],
    "`from topk_lightning import TopKAccuracy`": ["-c", "from topk_lightning import TopKAccuracy"],
    "`from topk_lightning import TopKClassifier`": ["-c", "from topk_lightning import TopKClassifier"],
    "`topk-lightning --help`": ["-m", "topk_lightning", "--help"],
    "`topk-lightning predict none.ckpt none.jpg`": ["-m", "topk_lightning", "predict", "none.ckpt", "none.jpg"],
}
QUICK = ("an empty program", "`import topk_lightning`", "`topk-lightning --help`")


def seconds(words: list[str], folder: str) -> float:
    """Return the processor's seconds of a program of this Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    root = str(Path(__file__).parents[2])
    options = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}}
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and publish."""
    programs = {name: PROGRAMS[name] for name in QUICK} if quick() else PROGRAMS
    found: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(1 if quick() else 3):
            for name, words in programs.items():
                found[name].append(seconds(words, folder))
    rows = [
        [name, f"{statistics.median(times):.2f} s", f"{min(times):.2f} to {max(times):.2f}"]
        for name, times in found.items()
    ]
    publish(
        "start",
        [
            Table(
                "Seconds of the processor in a fresh process: median, and smallest to largest.",
                ["", "median", "range"],
                rows,
            )
        ],
    )


if __name__ == "__main__":
    main()
