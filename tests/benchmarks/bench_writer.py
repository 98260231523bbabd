"""Predictions of a million images to a file, and a report of a million stored scores: seconds, and memory that must stay flat.

Run with ``python tests/benchmarks/bench_writer.py [--quick] [--write]``; see page.py. Each figure is taken in a process of its own,
whose highest resident memory is compared with that before. The network is none: scores are looked up, so all time is writing.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from page import Table, publish, quick

CLASSES, BATCH = 100, 1000
KINDS = {
    "csv": "`TopKPredictionWriter`, .csv",
    "parquet": "`TopKPredictionWriter`, .parquet",
    "report": "`write_report` of scores",
}


def write(kind: str, rows: int, folder: Path) -> None:
    """Predict so many images and write the 5 best classes of each."""
    from pytorch_lightning import LightningModule, Trainer
    from torch.utils.data import DataLoader, Dataset

    from topk_lightning.callbacks import TopKPredictionWriter

    scores = torch.randn(BATCH, CLASSES, generator=torch.Generator().manual_seed(0))

    class Numbers(Dataset[int]):
        def __len__(self) -> int:
            return rows

        def __getitems__(self, indices: list[int]) -> list[int]:
            return indices

    class Known(LightningModule):
        def predict_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            return scores[: len(batch)]

    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    writer = TopKPredictionWriter(
        folder / f"predictions.{kind}", k=5, class_names=[f"class {c}" for c in range(CLASSES)]
    )
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", callbacks=[writer], enable_checkpointing=False, **options)
    trainer.predict(Known(), DataLoader(Numbers(), BATCH, collate_fn=torch.tensor), return_predictions=False)


def report(rows: int, folder: Path) -> None:
    """Write the report of so many scores, which lie in a memory-mapped file."""
    import numpy as np

    from topk_lightning import write_report
    from topk_lightning.scores import read_scores

    generator = np.random.default_rng(0)
    target = generator.integers(CLASSES, size=rows)
    logits = np.lib.format.open_memmap(folder / "logits.npy", mode="w+", dtype=np.float32, shape=(rows, CLASSES))
    for start in range(0, rows, 10_000):
        part = generator.normal(size=(min(10_000, rows - start), CLASSES)).astype(np.float32)
        part[np.arange(len(part)), target[start : start + len(part)]] += 2
        logits[start : start + len(part)] = part
    logits.flush()
    del logits
    np.save(folder / "target.npy", target)
    started.update(measured())
    scores = read_scores(folder / "logits.npy", kind="logits", target=folder / "target.npy")
    write_report(scores, out=folder / "report.html")


started: dict[str, float] = {}


def measured() -> dict[str, float]:
    """Return the processor's seconds of this process, and its highest resident memory in MiB."""
    return {"seconds": time.process_time(), "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def one(kind: str, rows: int) -> None:
    """Measure one and print it, after the same with few rows, which imports and warms everything."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as folder:
        for number, where in ((2 * BATCH, few), (rows, folder)):
            started.update(measured())
            report(number, Path(where)) if kind == "report" else write(kind, number, Path(where))
        ended = measured()
        print(json.dumps({name: ended[name] - started[name] for name in ended}))


def main() -> None:
    """Measure each in a process of its own and publish."""
    if "--one" in sys.argv:
        kind, rows = sys.argv[-2:]
        one(kind, int(rows))
        return
    sizes = (20_000, 50_000) if quick() else (400_000, 1_000_000)
    found: dict[str, list[dict[str, float]]] = {}
    for kind in KINDS:
        for rows in sizes:
            done = subprocess.run(
                [sys.executable, __file__, "--one", kind, str(rows)], stdout=subprocess.PIPE, check=True
            )
            found.setdefault(kind, []).append(json.loads(done.stdout.splitlines()[-1]))
    rows = [
        [KINDS[kind], *(f"{each['seconds']:.0f} s" for each in both), *(f"+{each['MiB']:.0f} MiB" for each in both),
         f"{sizes[-1] / both[-1]['seconds']:,.0f}"]
        for kind, both in found.items()
    ]  # fmt: skip
    columns = ["", *(f"{size:,} images" for size in sizes), *(f"memory, {size:,}" for size in sizes), "images a second"]
    rows_bytes = sizes[-1] * CLASSES * 4 / 2**20
    title = f"{CLASSES} classes, the 5 best of each image. Memory is the rise of the process's highest resident memory above a run of {2 * BATCH:,} images; for the report it holds the scores' file too, {rows_bytes:,.0f} MiB of {sizes[-1]:,} images, whose pages the system takes back when it needs them."
    publish("writer", [Table(title, columns, rows)])


if __name__ == "__main__":
    main()
