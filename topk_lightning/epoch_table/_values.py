"""Values of a row: which of what is logged are new, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["new_of_training", "plain_number"]


def new_of_training(logged: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of training that are new: a trainer goes on showing the last one of each name."""
    return {
        name: value for name, value in logged.items() if not name.startswith("val") and value is not before.get(name)
    }


def plain_number(value: Any) -> float | int | None:
    """Return a setting or a logged value as a plain number; None for what is none."""
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else None
    # Seven digits are what float32 holds: 0.29, not 0.28999999165534973.
    return float(f"{value:.7g}") if isinstance(value, float) else value if isinstance(value, int) else None
