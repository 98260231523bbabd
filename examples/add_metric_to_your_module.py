"""Add top-k accuracy to a LightningModule of your own: one line to create it, one to update it, one to log it.

python examples/add_metric_to_your_module.py --max-epochs 5
"""

from __future__ import annotations

import argparse

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from topk_lightning import EmojiDataModule, SmallCNN, TopKAccuracies, TopKAccuracy


class YourModule(pl.LightningModule):
    """A module as you may have one: network, loss, optimizer. The lines about metrics are the ones to copy."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.network = SmallCNN(num_classes)
        self.loss = nn.CrossEntropyLoss()
        self.train_top5 = TopKAccuracy(k=5)  # one k
        self.val_metrics = TopKAccuracies(k=(1, 3, 5), prefix="val/")  # several, from one reading of the scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        images, target = batch
        logits = self.network(images)
        loss: Tensor = self.loss(logits, target)
        self.train_top5.update(logits, target)
        self.log("train/top5", self.train_top5, on_step=False, on_epoch=True)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count the hits of a batch; logging the metric objects makes Lightning reset and synchronise them."""
        images, target = batch
        self.val_metrics.update(self.network(images), target)
        self.log_dict(self.val_metrics)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main() -> None:
    """Train on embedded drawings of fruit, animals and smileys, and print the last validation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-epochs", type=int, default=5)
    parser.add_argument("--classes", type=int, default=40, help="number of emoji")
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
    )
    trainer.fit(YourModule(data.num_classes), data)
    for name, value in sorted(trainer.callback_metrics.items()):
        print(f"{name} {value:.3f}")


if __name__ == "__main__":
    main()
