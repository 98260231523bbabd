"""Accuracies at several k from the tables of counts, their intervals, and their picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from topk_lightning.metrics._counting import Counting, Counts, wide_dtype
from topk_lightning.metrics.intervals import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracies", "counting_of", "interval", "plot_curve"]


def counting_of(*settings: Any) -> Counting:
    """Return a :class:`Counting`, whose settings are checked once for all calls with the same."""
    return Counting(*settings) if torch.compiler.is_compiling() else _checked_once(*settings)


_checked_once = lru_cache(maxsize=64, typed=True)(Counting)


def accuracies(counts: Counts, ks: Sequence[int], average: str) -> Tensor:
    """Return the accuracy at each k: (K,), or (K, C) for average="none"."""
    whole, fractional = cast("tuple[Tensor | None, Tensor | None]", counts)
    parts: list[Tensor] = [] if whole is None else [whole]
    if fractional is not None:
        parts.append(fractional[..., :-1])
    if average == "micro" and parts[0].device.type == "cpu" and not torch.compiler.is_compiling():
        # A few numbers are added up faster as numbers, and the quotient is that of float64 all the same.
        numbers = (
            parts[0].tolist() if len(parts) == 1 else map(sum, zip(*(part.tolist() for part in parts), strict=True))
        )
        sums = list(accumulate(numbers))
        return torch.tensor([sums[k - 1] / sums[-1] if sums[-1] else math.nan for k in ks])
    table = parts[0].to(wide_dtype(parts[0].device))
    table = table if len(parts) == 1 else table + parts[1]
    within = table.cumsum(-1)
    if average == "weighted":
        within = within.sum(0)
    accuracies = within[..., [k - 1 for k in ks]] / within[..., -1:]
    if average == "macro":
        return accuracies.nanmean(0).float()
    return accuracies.movedim(-1, 0).float()


def interval(counts: Counts, k: int, average: str, level: float) -> Tensor:
    """Return Wilson's interval of the accuracy at k, of as many rows as the weights are worth: (2,), or (C, 2)."""
    whole, fractional = cast(tuple[Tensor, Tensor], counts)
    rows = whole.sum(-1)
    sum_of_squares = rows + fractional[..., -1]
    seen = rows + fractional[..., :-1].sum(-1)
    return wilson_interval(accuracies(counts, [k], average)[0], seen.square() / sum_of_squares, level)


def plot_curve(counts: Counts, ks: Sequence[int], average: str, ax: Axes | None) -> tuple[Figure, Axes]:
    """Draw the accuracy against k, with its 95 % band where rows count alike."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots()
    ax.plot(ks, accuracies(counts, ks, average).numpy(), marker="o" if len(ks) <= 20 else None)
    if average == "micro":
        low, high = torch.stack([interval(counts, k, average, 0.95) for k in ks]).T
        ax.fill_between(ks, low.numpy(), high.numpy(), alpha=0.2, label="95 % interval")
        ax.legend(loc="lower right")
    ax.set(xlabel="k", ylabel="top-k accuracy", ylim=(0, 1.02), xlim=(0.5, len(ks) + 0.5))
    return ax.figure, ax  # type: ignore[return-value]
