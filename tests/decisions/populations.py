"""Images of a population whose probabilities are known, for promises about the next image."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["long_tail", "population"]


def population(images: int, classes: int = 20, seed: int = 0, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits (N, C) in float64, and classes drawn from their softmax."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(images, classes, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


def long_tail(images: int, classes: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits of a well calibrated model and classes whose frequency falls as 1/rank."""
    generator = torch.Generator().manual_seed(seed)
    prior = 1 / torch.arange(1, classes + 1, dtype=torch.float64)
    target = torch.multinomial(prior, images, replacement=True, generator=generator)
    seen = 2.2 * torch.nn.functional.one_hot(target, classes).double()
    seen += torch.randn(images, classes, generator=generator, dtype=torch.float64)
    return 2.2 * seen + prior.log(), target  # the posterior of equal Gaussians about the corners
