"""What TemperatureAnnealing, KAnnealing and CoarseToFine cost in each training step of SmallCNN.

Run with ``python tests/benchmarks/bench_callbacks.py [threads]``.

The processor's time of the training thread inside the callbacks' hooks, and in the training steps (from the start of a batch
to its end), are taken in one real fit; each figure is a median. CoarseToFine counts four
accuracies in each step besides; its loss on groups, a logsumexp more, counts as part of the step.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
import warnings
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning.callbacks import CoarseToFine, KAnnealing, TemperatureAnnealing
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss
from topk_lightning.networks import SmallCNN

CLASSES, BATCHES, EPOCHS, ROWS = 100, 10, 3, 32


class BufferTemperature(nn.Module):
    """A cross entropy whose temperature is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits / self.temperature, target)


class Module(LightningModule):
    """SmallCNN with a loss."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.network, self.loss = SmallCNN(CLASSES), loss

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.loss(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


class Watch(Callback):
    """Takes the time of the training steps."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.started = time.thread_time()

    def on_train_batch_end(self, *_: Any) -> None:
        self.times.append(time.thread_time() - self.started)


def timed(annealing: Callback, name: str) -> list[float]:
    """Return the list to which a hook of a callback that runs in each batch will add its time."""
    times: list[float] = []
    inner = getattr(annealing, name)

    def hook(*args: Any) -> None:
        started = time.thread_time()
        inner(*args)
        times.append(time.thread_time() - started)

    setattr(annealing, name, hook)
    return times


def measure(loss: nn.Module, annealing: Callback) -> tuple[float, float]:
    """Return the median seconds of a step, and of the callback in it."""
    watch, times = Watch(), [timed(annealing, f"on_train_batch_{end}") for end in ("start", "end")]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(ROWS * BATCHES, 3, 64, 64, generator=generator)
    data = DataLoader(TensorDataset(images, torch.arange(len(images)) % CLASSES), batch_size=ROWS)
    trainer = Trainer(
        accelerator="cpu", max_epochs=EPOCHS, callbacks=[watch, annealing], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Module(loss), data)
    return statistics.median(watch.times), sum(map(statistics.median, times))


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.ERROR)
    rows = {
        "temperature, a plain attribute": (TemperatureCrossEntropyLoss(), TemperatureAnnealing()),
        "temperature, a buffer": (BufferTemperature(), TemperatureAnnealing()),
        "k, by progress": (SmoothTopKSVMLoss(k=5), KAnnealing(at=(0, 0.5, 0.8))),
        "coarse to fine": (nn.CrossEntropyLoss(), CoarseToFine([c // 5 for c in range(CLASSES)])),
    }
    title = f"SmallCNN, {CLASSES} classes, {ROWS} images of 64×64, {threads} threads"
    table = Table("annealed", "step, ms", "callback, µs", "share", title=title)
    for name, (loss, annealing) in rows.items():
        step, own = measure(loss, annealing)
        table.add_row(name, f"{step * 1e3:.1f}", f"{own * 1e6:.1f}", f"{own / step:.4%}")
    Console().print(table)


if __name__ == "__main__":
    main()
