"""What the relaxations share: the largest scores of each row, and blocks of rows that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["largest", "result_of", "row_blocks", "small_dtype"]

_CPU_BLOCK = 2**18
# Below this many classes one topk is faster than two.
_TWO_STEPS = 512


def row_blocks(rows: Tensor) -> Iterator[slice]:
    """Cut the rows of (M, C) into blocks whose temporaries stay in a CPU's cache; elsewhere one block.

    Inside a compiled graph too it is one block: there the compiler fuses the passes.
    """
    num_rows, num_classes = rows.shape
    whole = rows.device.type != "cpu" or torch.compiler.is_compiling()
    step = max(1, num_rows if whole else _CPU_BLOCK // num_classes)
    for start in range(0, max(1, num_rows), step):
        yield slice(start, start + step)


def small_dtype(rows: Tensor) -> torch.dtype:
    """Return the dtype of the few numbers a row that decide the accuracy: float64 where the device has it."""
    return rows.dtype if rows.device.type == "mps" else torch.float64


def result_of(log_rows: Tensor, scores: Tensor) -> Tensor:
    """Return a matrix of results in the dtype of its scores, at least float32."""
    return log_rows.to(scores.dtype if scores.dtype == torch.float64 else torch.float32)


def largest(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest scores of each row of (M, C), falling, and where they stand.

    Which of several equal scores are returned is open: use the positions to exclude or to pass a gradient on, never
    to name classes.

    On a CPU with many classes: the largest of strided groups first, then all members of the `count` best groups.
    """
    num_classes = rows.shape[1]
    size = int((num_classes / count) ** 0.5)
    if num_classes < _TWO_STEPS or size < 4 or rows.device.type != "cpu" or torch.compiler.is_compiling():
        values, index = rows.topk(count, dim=1)
        return values, index
    num_groups = num_classes // size
    groups = rows[:, : num_groups * size].view(len(rows), size, num_groups).amax(1).topk(count, dim=1).indices
    members = (groups.unsqueeze(1) + num_groups * torch.arange(size).unsqueeze(1)).flatten(1)
    left_over = torch.arange(num_groups * size, num_classes).expand(len(rows), -1)
    members = torch.cat([members, left_over], dim=1)
    values, index = rows.gather(1, members).topk(count, dim=1)
    return values, members.gather(1, index)
