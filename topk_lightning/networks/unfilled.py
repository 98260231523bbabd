"""Networks whose weights are about to be loaded, built without drawing random ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["NoRandomWeights"]

# What torch.nn.init hands over by itself, and what its other functions end in.
_DRAWN = ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_")


class NoRandomWeights(TorchFunctionMode):
    """Within it, no parameter is filled with random numbers: it holds whatever stood in memory until it is loaded.

    Buffers, constants and everything else stay as they are built. Drawing takes longer than loading.

    Examples:
        >>> import torch
        >>> state = torch.get_rng_state()
        >>> with NoRandomWeights():
        ...     layer = nn.Linear(3, 2)
        >>> torch.get_rng_state().equal(state)
        True
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Return the parameter as it is, or what the function returns."""
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        if isinstance(target, nn.Parameter) and getattr(func, "__name__", "") in _DRAWN:
            return target
        return func(*args, **kwargs)
