"""Train a head of a million classes whose rows are shared out among processes, each within a few GB.

    torchrun --nproc-per-node 2 examples/million_classes.py

With C = 1,000,000 classes and D = 128 features the weight is 0.5 GB, its gradient as much, and the states of Adam twice that; the
scores of 64 rows are 0.26 GB, and a loss holds two or three times that. Lightning's `ModelParallelStrategy` shares out the classes:
each process holds and trains C / R rows of the weight, computes as many columns of scores, and sends a few numbers a row.
Whole rows of scores are nowhere.
"""

from __future__ import annotations

import argparse
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.utils.data import DataLoader, Dataset

from topk_lightning import TopKAccuracy, TruncatedTopKEntropyLoss


class Points(Dataset[tuple[Tensor, int]]):
    """Points of the space, one a class; each is drawn from its number alone."""

    def __init__(self, rows: int, num_classes: int, width: int) -> None:
        self.rows, self.num_classes, self.width = rows, num_classes, width

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        label = index * 7919 % self.num_classes
        return torch.randn(self.width, generator=torch.Generator().manual_seed(label)), label


class ManyClasses(pl.LightningModule):
    """A small trunk, whole in each process, and a head whose classes are shared out."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        with torch.device("meta"):  # its weight is only made where and when it is shared out
            self.head = nn.Linear(width, num_classes)
        self.loss = TruncatedTopKEntropyLoss(k=5)
        # Each process has seen every row: nothing is to be added up.
        self.top5 = TopKAccuracy(k=5, sync_on_compute=False)

    def configure_model(self) -> None:
        """Share out the classes; Lightning calls it once the processes know each other."""
        if not self.head.weight.is_meta:
            return
        plan = ColwiseParallel(output_layouts=Shard(-1), use_local_output=False)
        mesh: Any = self.device_mesh
        parallelize_module(self.head, mesh["tensor_parallel"], plan)
        self.head.to_empty(device=self.device)
        for parameter in self.head.parameters():
            nn.init.normal_(parameter.to_local(), std=0.01)  # type: ignore[attr-defined]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss; the scores have the type DTensor."""
        features, target = batch
        scores = self.head(self.trunk(features))
        self.top5.update(scores, target)
        loss: Tensor = self.loss(scores, target)
        self.log("train/loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        self.log("train/top5", self.top5, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW, whose states are shared out as the parameters are."""
        return torch.optim.AdamW(self.parameters(), 1e-2, foreach=False)


def main() -> None:
    """Train, and print loss, top-5 accuracy and the memory of the process that needed most."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-epochs", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--accelerator", default="auto")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    trainer = pl.Trainer(
        strategy=ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=options.processes),
        devices=options.processes,
        accelerator=options.accelerator,
        max_epochs=options.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = Points(options.rows, options.classes, options.width)
    trainer.fit(ManyClasses(options.classes, options.width), DataLoader(data, options.batch_size, shuffle=True))
    import resource  # Windows has no such count

    held = torch.tensor(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)  # KiB on Linux
    held = trainer.strategy.reduce(held.to(trainer.strategy.root_device), reduce_op="max")
    if trainer.is_global_zero:
        values: dict[str, Any] = trainer.callback_metrics
        print(f"{options.classes:,} classes, {trainer.world_size} processes, at most {float(held):.2f} GiB each")
        for name in ("train/loss", "train/top5"):
            print(f"{name} {float(values[name]):.4f}")


if __name__ == "__main__":
    main()
