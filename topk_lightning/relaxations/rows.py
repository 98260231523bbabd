"""What relaxations and losses share: the largest scores of each row, blocks of rows that stay in cache, kept constants."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from topk_lightning._checks.losses import reads_values

__all__ = [
    "all_finite",
    "bounded",
    "detached_under_no_grad",
    "joined",
    "kept",
    "largest",
    "result_of",
    "row_blocks",
    "small_dtype",
]


R = TypeVar("R")

# About so many scores make a block.
_BLOCK = 2**17


def detached_under_no_grad(rows: Tensor) -> Tensor:
    """Return rows that an autograd.Function may ask whether a gradient is wanted: of a leaf it is not told of no_grad."""
    return rows if torch.is_grad_enabled() else rows.detach()


def row_blocks(rows: Tensor, *others: Tensor, width: int = 0) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors of the same rows into blocks whose temporaries stay in a CPU's cache; elsewhere they are one block.

    Inside a compiled graph too it is one block: there the compiler fuses the passes, and the number of rows is free.

    Args:
        rows: the largest of them, (M, C).
        others: further tensors of M rows.
        width: how many numbers of a row count, by default C.
    """
    if torch.compiler.is_compiling() or rows.device.type != "cpu":
        return iter([(rows, *others)])
    step = max(1, _BLOCK // (width or rows.shape[1]))
    if rows.shape[0] <= step:
        return iter([(rows, *others)])
    return zip(*(torch.split(tensor, step) for tensor in (rows, *others)), strict=True)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return what was made of each block of rows as one tensor."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def kept(make: Callable[..., R]) -> Callable[..., R]:
    """Keep the tensors that `make` returns, which depend on its hashable arguments alone.

    Not in a compiled graph, whose compiler folds them, nor under a mode with tensors of its own, such as FakeTensorMode.
    """
    keep = functools.lru_cache(maxsize=64)(make)

    def constants(*key: Any) -> R:
        lasting = not torch.compiler.is_compiling() and type(torch.empty(0)) is Tensor
        return (keep if lasting else make)(*key)

    return constants


def small_dtype(rows: Tensor) -> torch.dtype:
    """Return the dtype of the few numbers a row that decide the accuracy: float64 where the device has it."""
    return rows.dtype if rows.device.type == "mps" else torch.float64


def all_finite(scores: Tensor) -> bool:
    """Return whether the scores may be read and are finite, and their sum too: then no class is masked among them."""
    return reads_values(scores) and math.isfinite(scores.sum().item())


def bounded(scores: Tensor, finite: bool) -> Tensor:
    """Return scores with the lowest finite number for −∞, so that they may be subtracted from −∞.

    `finite` says that it is known to be nowhere.
    """
    return scores if finite else scores.clamp(min=torch.finfo(scores.dtype).min)


def result_of(log_rows: Tensor, scores: Tensor) -> Tensor:
    """Return a matrix of results in the dtype of its scores, at least float32."""
    return log_rows.to(scores.dtype if scores.dtype == torch.float64 else torch.float32)


def largest(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest scores of each row of (M, C), falling, and where they stand.

    Which of several equal scores are returned is open: use the positions to exclude or to pass a gradient on, never
    to name classes.

    On a CPU with many classes the maxima of strided groups come first: the largest scores stand in the groups whose
    maxima are largest, so only these are searched.
    """
    num_rows, num_classes = rows.shape
    # torch.topk is quickest while count is below 1/64 of what it searches; else the two searches are balanced.
    height = min(num_classes // (64 * count), 32)
    if height < 2:
        height = int((num_classes / count) ** 0.4)
        height = height if height >= 4 else 1
    if height == 1 or rows.device.type != "cpu":
        values, index = rows.topk(count, dim=1)
        return values, index
    width = num_classes // height
    groups = rows[:, : height * width]
    if height < 4:
        groups = functools.reduce(torch.maximum, torch.split(groups, width, 1))
    else:
        groups = groups.reshape(num_rows, height, width).amax(1)
    columns = groups.topk(count, dim=1, sorted=False).indices
    starts = torch.arange(height, device=rows.device).unsqueeze(1) * width
    tail = torch.arange(height * width, num_classes, device=rows.device).expand(num_rows, -1)
    candidates = torch.cat([(columns.unsqueeze(1) + starts).flatten(1), tail], 1)
    values, chosen = rows.gather(1, candidates).topk(count, dim=1)
    return values, candidates.gather(1, chosen)
