"""Optimizers by name, parameter groups for fine-tuning, and the learning rate of each step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from topk_lightning.networks.description import describe_callable
from topk_lightning.networks.specification import build_callable

__all__ = [
    "OPTIMIZERS",
    "OptimizerFactory",
    "build_optimizer",
    "described",
    "scheduled",
    "warmup_cosine",
    "warmup_only",
]

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]

#: The optimizers known by name, with the options that are set besides the learning rate and the weight decay.
OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}


def described(argument: str, given: Any) -> tuple[Any, dict[str, Any]]:
    """Return a loss or optimizer and its plain description; (None, description) where a checkpoint could not keep it."""
    if isinstance(given, Mapping):
        given = dict(given)
        return (None if "unnamed" in given else build_callable(argument, given)), given
    return given, describe_callable(given)


def build_optimizer(
    optimizer: str | OptimizerFactory,
    head: Sequence[nn.Parameter],
    backbone: Sequence[nn.Parameter],
    *,
    lr: float | None,
    backbone_lr: float | None,
    weight_decay: float | None,
) -> Optimizer:
    """Return an optimizer with one group of parameters for the head and one for the backbone.

    Biases and the weights of normalisations (one dimension) stand in groups of their own without weight decay.

    Args:
        optimizer: "adam", "adamw", "rmsprop", "sgd" (momentum 0.9, Nesterov), or a callable that takes the groups.
        head: parameters of the last layer, and of a loss that has some.
        backbone: all other parameters.
        lr: learning rate; None: 1e-3 by name, the callable's own otherwise.
        backbone_lr: learning rate of the backbone; None: the same.
        weight_decay: None: 0.01 by name, the callable's own otherwise.
    """
    if isinstance(optimizer, str):
        kind, options = OPTIMIZERS[optimizer]
        lr, weight_decay = 1e-3 if lr is None else lr, 0.01 if weight_decay is None else weight_decay
    else:
        kind, options = optimizer, {}
    groups: list[dict[str, Any]] = []
    for name, parameters, rate in (
        ("head", head, lr),
        ("backbone", backbone, lr if backbone_lr is None else backbone_lr),
    ):
        for suffix, decays in (("", True), ("_without_decay", False)):
            chosen = [p for p in parameters if p.requires_grad and (p.ndim > 1) == decays]
            group = {
                "params": chosen,
                "name": name + suffix,
                "lr": rate,
                "weight_decay": weight_decay if decays else 0.0,
            }
            if chosen:
                groups.append({key: value for key, value in group.items() if value is not None})
    return kind(groups, **options)


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """Return the factor of the learning rate at an optimizer step: a linear rise, then half a cosine down to 0.

    Args:
        step: number of optimizer steps done, from 0.
        warmup_steps: steps of the rise; the first step has the factor 1 / warmup_steps, the last of them 1.
        total_steps: steps of the whole training; from there on the factor is 0.

    Examples:
        >>> [round(warmup_cosine(step, warmup_steps=2, total_steps=6), 3) for step in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return warmup_only(step, warmup_steps=warmup_steps)
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return (1 + math.cos(math.pi * progress)) / 2


def warmup_only(step: int, *, warmup_steps: int) -> float:
    """Return the factor of the learning rate for a linear rise that is held afterwards.

    Examples:
        >>> [warmup_only(step, warmup_steps=2) for step in range(4)]
        [0.5, 1.0, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def scheduled(optimizer: Optimizer, *, warmup_steps: int, total_steps: Callable[[], float] | None) -> Any:
    """Return what Lightning's ``configure_optimizers`` wants: the optimizer with its learning rate per step.

    Args:
        optimizer: the optimizer.
        warmup_steps: steps of the linear rise.
        total_steps: says how many steps the whole training has, for a cosine down to 0; None: the learning rate is held.
            Where training has no known end (infinite or negative) it is held as well, with a warning. It is asked after
            the first step only: an answer makes the trainer build its loader, which before a resume would lose the state
            that a checkpoint keeps of it.
    """
    if total_steps is None and not warmup_steps:
        return optimizer
    warned = False

    def factor(step: int) -> float:
        nonlocal warned
        if total_steps is None or step <= warmup_steps:
            return warmup_only(step, warmup_steps=warmup_steps)
        total = total_steps()
        if math.isfinite(total) and total >= 0:
            return warmup_cosine(step, warmup_steps=warmup_steps, total_steps=int(total))
        if not warned:
            warned = True
            warnings.warn(
                "lr_schedule='cosine' needs an end of training, so the learning rate is held: set max_epochs or max_steps.",
                stacklevel=2,
            )
        return 1.0

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
