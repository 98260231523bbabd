"""Confidence intervals of a fraction."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_number
from topk_lightning.metrics._counting import wide_dtype

__all__ = ["check_level", "wilson_interval"]


def check_level(level: float) -> float:
    """Return the level of an interval, in (0, 1)."""
    if not 0 < check_number("level", level) < 1:
        raise InvalidValueError(must("level", "lie between 0 and 1", level, "Did you mean 0.95?"))
    return level


def wilson_interval(fraction: Tensor, count: Tensor, level: float) -> Tensor:
    """Return Wilson's score interval (…, 2) of `fraction` (…) of `count` (…) independent rows."""
    z = torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)).item()
    wide = wide_dtype(count.device)
    fraction, count = fraction.to(wide), count.to(wide)
    center = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (fraction * (1 - fraction) / count + (z / (2 * count)) ** 2).sqrt()
    return torch.stack([(center - half).clamp(min=0), (center + half).clamp(max=1)], dim=-1).float()
