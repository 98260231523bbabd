"""Networks that ``torch.compile`` has wrapped: what is wrapped, and names of weights without the wrapper."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

__all__ = ["unwrapped", "with_wrappers", "without_wrappers"]

_WRAPPER = "_orig_mod"
_PREFIX = f"{_WRAPPER}."


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network that ``torch.compile(network)`` wraps, or the network itself.

    Examples:
        >>> import torch
        >>> network = nn.Linear(2, 3)
        >>> unwrapped(torch.compile(network)) is network
        True
    """
    while isinstance(inner := getattr(network, _WRAPPER, None), nn.Module):
        network = inner
    return network


def without_wrappers(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict under the names that the weights have where nothing is compiled."""
    if not any(_PREFIX in name for name in state):
        return state
    return {name.replace(_PREFIX, ""): value for name, value in state.items()}


def with_wrappers(state: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return a state dict under the `names` that the weights have here, wherever it and this module are compiled."""
    here = {name.replace(_PREFIX, ""): name for name in names}
    return {here.get(bare := name.replace(_PREFIX, ""), bare): value for name, value in state.items()}
