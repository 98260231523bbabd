"""Try the ideas of the library on a LightningModule of your own, which stays as it is: one line each.

Top-1 and top-5 are measured, each epoch is a row of a table, and the predictions of the test drawings are written to a file.

    python examples/drop_in_callbacks.py --max-epochs 10

With --curricula groups of emoji are learned before the emoji, and temperature and k of a top-k loss fall. Our measurements do
not show that this helps (docs/choosing.md): compare with the plain loss on your data.
"""

from __future__ import annotations

import argparse

import pytorch_lightning as pl
import torch
from torch import Tensor

from topk_lightning import EmojiDataModule, SmallCNN, SmoothTopKSVMLoss, TemperatureCrossEntropyLoss
from topk_lightning.callbacks import (
    CoarseToFine,
    KAnnealing,
    TemperatureAnnealing,
    TopKMonitor,
    TopKPredictionWriter,
    TrainingTrace,
)


class YourModule(pl.LightningModule):
    """A module as you may have one. It measures nothing, and none of its lines is about a callback."""

    def __init__(self, num_classes: int, loss: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.network = SmallCNN(num_classes)
        self.loss = loss or TemperatureCrossEntropyLoss(label_smoothing=0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        images, target = batch
        loss: Tensor = self.loss(self(images), target)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return what TopKMonitor reads; without it, the monitor would call the module once more."""
        images, target = batch
        logits = self(images)
        loss = self.loss(logits, target)
        self.log("val/loss", loss)
        return {"loss": loss, "logits": logits, "target": target}

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the logits of a batch."""
        return self(batch if isinstance(batch, Tensor) else batch[0])  # type: ignore[no-any-return]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def callbacks(out: str, curricula: bool = False) -> list[pl.Callback]:
    """Return the callbacks that measure, and those that change the loss if asked for."""
    measuring = [TopKMonitor(k=(1, 5)), TrainingTrace(), TopKPredictionWriter(out, k=5)]
    if not curricula:
        return measuring
    return [
        CoarseToFine(level="category", schedule="linear", hold_fraction=0.1, finish_fraction=0.5),
        TemperatureAnnealing(start=4.0, end=1.0),
        KAnnealing(ladder=(5, 3, 1), at=(0, 0.4, 0.7)),
        *measuring,
    ]


def main() -> None:
    """Train, then write the predictions of the test set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-epochs", type=int, default=10)
    parser.add_argument("--classes", type=int, default=40, help="number of emoji")
    parser.add_argument("--out", default="predictions.csv", help="ends in .csv, .jsonl or .parquet")
    parser.add_argument("--curricula", action="store_true", help="change the loss in the course of training")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", default="auto")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    data = EmojiDataModule(classes=options.classes, batch_size=32)
    trainer = pl.Trainer(
        max_epochs=options.max_epochs,
        accelerator=options.accelerator,
        devices=options.devices,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=callbacks(options.out, options.curricula),
    )
    module = YourModule(data.num_classes, SmoothTopKSVMLoss() if options.curricula else None)
    trainer.fit(module, data)
    for name, value in sorted(trainer.callback_metrics.items()):
        print(f"{name} {value:.3f}")
    trainer.predict(module, data)
    print(f"predictions in {options.out}")


if __name__ == "__main__":
    main()
