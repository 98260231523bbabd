"""Batch normalisation of a batch that holds one value a channel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["running_statistics_for_single_values"]


@contextmanager
def running_statistics_for_single_values(network: nn.Module) -> Iterator[None]:
    """Within it, a batch normalisation that is given one value a channel uses its running statistics.

    One value has no deviation, and torch raises for it in training mode: the last batch of an epoch, if it holds one image,
    and layers whose maps are 1×1. Running statistics stay as they are; gradients flow. Normalisations synchronised over
    processes see the values of all of them and are left alone.
    """
    changed: list[nn.Module] = []

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training and inputs[0].numel() == inputs[0].shape[1]:
            module.training = False
            changed.append(module)

    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm)]
    handles = [norm.register_forward_pre_hook(look) for norm in norms if norm.track_running_stats]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module in changed:
            module.training = True
