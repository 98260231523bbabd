"""Train the same network with two losses, same seed and data, and print both top-k accuracies with their intervals.

    python examples/compare_losses.py --losses CrossEntropyLoss SoftTopKLoss --max-epochs 20

A name is one of torch.nn or topk_lightning.losses, with options after a colon: "SoftTopKLoss:k=3,temperature=0.5".
One run a loss says little: intervals that overlap are no difference. Losses differ in the size of their gradients, so
tune --lr for each before you conclude.
"""

from __future__ import annotations

import argparse
from typing import Any

import pytorch_lightning as pl
import yaml
from torch import nn

from topk_lightning import EmojiDataModule, TopKClassifier, losses


def build(description: str) -> nn.Module:
    """Return the loss that "Name:option=value,…" describes."""
    name, _, options = description.partition(":")
    arguments = (option.split("=") for option in options.split(",") if option)
    kind = getattr(losses, name, None) or getattr(nn, name)
    loss: nn.Module = kind(**{key: yaml.safe_load(value) for key, value in arguments})
    return loss


class Intervals(pl.Callback):
    """Keep each test accuracy with its 95 % interval, before Lightning resets the metrics."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write one line a metric."""
        meters: Any = pl_module.test_meters
        metrics = meters[0].accuracies
        for name, metric in metrics.items():
            low, high = metric.confidence_interval()
            self.lines.append(f"  test/{name} {metric.compute():.3f} [{low:.3f}, {high:.3f}]")


def main() -> None:
    """Train with each loss and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", default=["CrossEntropyLoss", "CrossEntropyLoss:label_smoothing=0.1"])
    parser.add_argument("--classes", type=int, default=120, help="how many emoji")
    parser.add_argument("--image-size", type=int, default=48)
    parser.add_argument(
        "--lr", type=float, nargs="+", help="one for all losses, or one each; default: the classifier's"
    )
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", default="auto")
    options = parser.parse_args()
    rates = options.lr or [None]
    rates = rates * len(options.losses) if len(rates) == 1 else rates
    if len(rates) != len(options.losses):
        parser.error(f"--lr must hold one value, or one for each of the {len(options.losses)} losses")

    for description, rate in zip(options.losses, rates, strict=True):
        pl.seed_everything(options.seed, verbose=False)
        data = EmojiDataModule(image_size=options.image_size, classes=options.classes)
        data.setup("fit")
        model = TopKClassifier(class_names=data.class_names, loss=build(description), lr=rate)
        intervals = Intervals()
        trainer = pl.Trainer(
            max_epochs=options.max_epochs,
            accelerator=options.accelerator,
            devices=options.devices,
            callbacks=[intervals],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, data)
        trainer.test(model, data, verbose=False)
        if trainer.is_global_zero:
            print(description, *intervals.lines, sep="\n")


if __name__ == "__main__":
    main()
