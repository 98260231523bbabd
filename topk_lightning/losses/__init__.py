"""Losses for training by the k best guesses: each a function and its module, in a file of its own."""

from __future__ import annotations

from topk_lightning.losses.temperature_cross_entropy import TemperatureCrossEntropyLoss, temperature_cross_entropy_loss

__all__ = ["TemperatureCrossEntropyLoss", "temperature_cross_entropy_loss"]
