"""Confidence intervals of a fraction."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning.metrics._counting import wide_dtype

__all__ = ["wilson_interval"]


def wilson_interval(fraction: Tensor, count: Tensor, level: float) -> Tensor:
    """Return Wilson's score interval (…, 2) of `fraction` (…) of `count` (…) independent rows.

    Args:
        fraction: the fraction that was seen, (…).
        count: of how many rows, (…).
        level: the probability in (0, 1) with which such intervals hold the true fraction.

    Source:
        Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Examples:
        >>> wilson_interval(torch.tensor(0.75), torch.tensor(4), 0.95)
        tensor([0.3006, 0.9544])
    """
    z = torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)).item()
    wide = wide_dtype(count.device)
    fraction, count = fraction.to(wide), count.to(wide)
    center = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (fraction * (1 - fraction) / count + (z / (2 * count)) ** 2).sqrt()
    return torch.stack([(center - half).clamp(min=0), (center + half).clamp(max=1)], dim=-1).float()
