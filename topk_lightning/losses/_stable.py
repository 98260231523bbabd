"""The numerically delicate steps that several losses share."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from topk_lightning._checks.losses import reads_values, refuse_second_derivative
from topk_lightning.relaxations.rows import small_dtype

__all__ = ["LogOdds", "hinge", "log_share", "softplus"]


class LogOdds(torch.autograd.Function):
    """t · log Σ_j exp((s_j − r) / t) over the classes that are left: how far they are above a group.

    The group stands for one score, r plus a constant, whose derivatives by its members are `shares`. Differences are
    taken before anything is rounded, so a constant added to all scores costs no digit. A row in which nothing is left
    gives the lowest finite number with gradient 0, for which ``torch.logsumexp`` has NaN.

    Forward takes one buffer of the size of the logits and backward one pass, where composed operations take five.
    ``LogOdds.apply(logits, group, shares, forgiven, reference, temperature)`` takes logits (M, C), the group's classes
    (M, g) and shares (M, g), further classes that are left out (M, q), r (M,) and t; it differentiates by the logits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        group: Tensor,
        shares: Tensor,
        forgiven: Tensor,
        reference: Tensor,
        temperature: float,
    ) -> Tensor:
        """Return the log odds, (M,)."""
        lowest = torch.finfo(logits.dtype)
        e = logits.scatter(1, torch.cat([group, forgiven], 1), -torch.inf)
        top = e.amax(1, keepdim=True).clamp_(min=lowest.min)
        total = e.sub_(top).div_(temperature).exp_().sum(1)  # at least 1 unless the row is empty
        ctx.save_for_backward(e, total, group, shares)
        value = total.clamp(min=lowest.tiny).log_().mul_(temperature).add_(top.squeeze(1) - reference)
        return value.masked_fill_(total == 0, lowest.min)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Return the gradient by the logits."""
        refuse_second_derivative()
        e, total, group, shares = ctx.saved_tensors
        grad = grad.masked_fill(total == 0, 0).unsqueeze(1)
        gradient = e * (grad / total.clamp(min=torch.finfo(e.dtype).tiny).unsqueeze(1))
        return gradient.scatter_(1, group, -shares * grad), None, None, None, None, None


def log_share(logits: Tensor, column: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the log softmax of logits / temperature at one class of each row, (M, 1).

    In float64 (float32 where the device has no more), since its differences to other logarithms of its size count.
    """
    share: Tensor = _LogShare.apply(logits, column, temperature)
    return share


class _LogShare(torch.autograd.Function):
    """The class itself is kept apart from the sum of the others, so that a share of almost 1 keeps its digits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, column: Tensor, temperature: float) -> Tensor:
        top = logits.amax(1, keepdim=True)
        chosen = (logits.gather(1, column).to(small_dtype(logits)) - top) / temperature
        # Shifted before it is divided: the scores may be large against both their differences and the temperature.
        powers = (logits - top).mul_(1 / temperature).exp_().scatter_(1, column, 0)
        others = powers.sum(1, keepdim=True)
        # The total less 1: small where the class itself is the largest.
        excess = chosen.expm1().add_(others)
        ctx.save_for_backward(logits, column, powers, others, excess + 1)
        ctx.temperature = temperature
        return chosen - excess.log1p_()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logits, column, powers, others, total = ctx.saved_tensors
        grad = grad / ctx.temperature
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # to be differentiated again
            shares = ((logits - logits.detach().amax(1, keepdim=True)) / ctx.temperature).softmax(1)
            return (-shares * grad).scatter_add(1, column, grad).to(logits.dtype), None, None
        grad = grad / total
        gradient = powers * -grad.to(powers.dtype)
        return gradient.scatter_(1, column, (grad * others).to(powers.dtype)), None, None


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)) to full precision (``F.softplus`` is linear from 20 on), finite gradient at ±inf."""
    return 0 - F.logsigmoid(-x)  # never −0.0


def hinge(margin: Tensor | float, gap: Tensor, best: Tensor) -> Tensor:
    """Return max(0, margin + gap) with the rules for masked and broken rows.

    Args:
        margin: how far the target should stand ahead of its bar.
        gap: the bar minus the target's score, (M,); a masked target's is +inf.
        best: the k largest scores, best first, (M, k). Where the last is −inf, fewer than k competitors are left: the
            target is in the top k whatever happens. Where the first is NaN, the model is broken, and must show it.
    """
    if reads_values(best) and math.isfinite(best.sum()):
        return (margin + gap).relu()
    loss = (margin + gap).relu().masked_fill(best[:, -1] == -torch.inf, 0)
    return loss.masked_fill(best[:, 0].isnan(), torch.nan)
