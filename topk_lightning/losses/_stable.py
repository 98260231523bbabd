"""The numerically delicate steps that several losses share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["hinge", "log_sum_exp", "softplus"]


def log_sum_exp(scores: Tensor, reference: Tensor, temperature: float = 1.0) -> Tensor:
    """Return t · log Σ_j exp((s_j − r) / t) of each row (M, C) against a reference score r (M,).

    Differences are taken before anything is rounded, so a constant added to all scores costs no digit. A row of −inf
    only gives the lowest finite number with gradient 0, for which ``torch.logsumexp`` has NaN.
    """
    lowest = torch.finfo(scores.dtype)
    top = scores.detach().amax(1, keepdim=True).clamp(min=lowest.min)
    # Shifted, divided and exponentiated in one buffer. The sum is at least 1 unless the row is empty.
    total = (scores - top).div_(temperature).exp_().sum(1)
    value = total.clamp(min=lowest.tiny).log() * temperature + (top.squeeze(1) - reference)
    return torch.where(total == 0, lowest.min, value)


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)) to full precision (``F.softplus`` is linear from 20 on), finite gradient at ±inf."""
    return -F.logsigmoid(-x)


def hinge(margin: Tensor | float, gap: Tensor, best: Tensor) -> Tensor:
    """Return max(0, margin + gap) with the rules for masked and broken rows.

    Args:
        margin: how far the target should stand ahead of its bar.
        gap: the bar minus the target's score, (M,); a masked target's is +inf.
        best: the k largest scores, best first, (M, k). Where the last is −inf, fewer than k competitors are left: the
            target is in the top k whatever happens. Where the first is NaN, the model is broken, and must show it.
    """
    loss = (margin + gap).relu().masked_fill(best[:, -1] == -torch.inf, 0)
    return loss.masked_fill(best[:, 0].isnan(), torch.nan)
