"""What the mean of a loss over a batch was divided by, so that the mean over an epoch is that over all its rows."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["loss_option", "mean_divisor"]

_FUNCTIONS = (nn.functional.cross_entropy, nn.functional.nll_loss)


def loss_option(loss: Any, name: str) -> Any:
    """Return an option of a loss: an attribute of a module, a bound argument, the default of a function; else None."""
    while isinstance(loss, functools.partial):
        if name in loss.keywords:
            return loss.keywords[name]
        loss = loss.func
    if inspect.isfunction(loss):
        parameter = inspect.signature(loss).parameters.get(name)
        return None if parameter is None or parameter.default is parameter.empty else parameter.default
    return getattr(loss, name, None)


def mean_divisor(loss: Callable[..., Any], logits: Tensor, target: Tensor) -> Tensor:
    """Return by what the mean of a loss over a batch is divided: by the rows that count, or the sum of their weights.

    It is exact for the losses of this library and for torch's cross_entropy and nll_loss, with class weights, ignored rows
    and soft targets (with which torch divides by the rows whatever their weights, and this library by Σ target · weight).
    For other callables it is the number of rows whose label is not their ``ignore_index``, if they have one.

    Shape:
        logits (N, C) or (N, C, d1, …), target (N,) or (N, d1, …), or float of the shape of `logits`; to ().

    Args:
        loss: the callable that returned the mean: a module, a function, or one with bound arguments.
        logits: what it was called with.
        target: class indices, or distributions over classes.

    Returns:
        A number, in int64 or float64 (float32 on a device without it).

    Examples:
        >>> weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 4.0]))
        >>> mean_divisor(weighted, torch.zeros(4, 2), torch.tensor([0, 1, 1, -100]))  # 1 + 4 + 4
        tensor(9., dtype=torch.float64)
        >>> mean_divisor(lambda logits, target: logits.mean(), torch.zeros(3, 2), torch.tensor([0, 1, 1]))
        tensor(3)
    """
    divides_by_rows, divides_by_weights = _is_torchs(loss), _is_ours(loss)
    weight = loss_option(loss, "weight") if divides_by_rows or divides_by_weights else None
    wide = torch.float32 if target.device.type == "mps" else torch.float64
    if target.is_floating_point() and target.shape == logits.shape:
        dim = loss_option(loss, "class_dim") if divides_by_weights else 1
        dim = dim if isinstance(dim, int) else 1
        if not isinstance(weight, Tensor) or divides_by_rows:
            return torch.tensor(target.numel() // max(1, target.shape[dim]), device=target.device)
        return (target.to(wide).movedim(dim, -1) * weight.to(target.device, wide)).sum()
    if target.is_floating_point():  # no labels: a regression, or whatever a callable makes of it
        return torch.tensor(len(target), device=target.device)
    ignored = loss_option(loss, "ignore_index")
    counts = torch.ones_like(target, dtype=torch.bool) if ignored is None else target != ignored
    if not isinstance(weight, Tensor):
        return counts.sum()
    return (weight.to(target.device, wide)[target.where(counts, 0)] * counts).sum()


def _is_torchs(loss: Any) -> bool:
    loss = _innermost(loss)
    return isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)) or loss in _FUNCTIONS


def _is_ours(loss: Any) -> bool:
    loss = _innermost(loss)
    kinds = (loss,) if inspect.isfunction(loss) else type(loss).__mro__
    return any((getattr(kind, "__module__", "") or "").startswith("topk_lightning.losses") for kind in kinds)


def _innermost(loss: Any) -> Any:
    while isinstance(loss, functools.partial):
        loss = loss.func
    return loss
