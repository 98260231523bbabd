"""What torch.compile wraps: a checkpoint and a description are of the network itself, compiled or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import nn

__all__ = ["compiled_names", "original_module", "original_names"]

Value = TypeVar("Value")

# torch.compile puts the module in an attribute of this name, which shows in the names of its weights.
_WRAPPER = "_orig_mod"


def original_module(network: nn.Module) -> nn.Module:
    """Return the module that torch.compile wrapped, once or more often; any other one as it is."""
    while isinstance(wrapped := getattr(network, _WRAPPER, None), nn.Module):
        network = wrapped
    return network


def original_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """Return a state dict under the names that it has without torch.compile.

    Examples:
        >>> original_names({"_orig_mod.0.weight": 1, "1._orig_mod.bias": 2})
        {'0.weight': 1, '1.bias': 2}
    """
    return {name.replace(f"{_WRAPPER}.", ""): value for name, value in state.items()}


def compiled_names(state: Mapping[str, Value], network: nn.Module) -> dict[str, Value]:
    """Return a state dict under the names that its weights have in `network`, whatever of the two is compiled."""
    names = original_names({name: name for name in network.state_dict()})
    return {names.get(name, name): value for name, value in original_names(state).items()}
