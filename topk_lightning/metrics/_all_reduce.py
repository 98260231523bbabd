"""Counts of all processes together, by one sum a dtype."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["is_anywhere", "sum_over_processes"]

Name = TypeVar("Name", bound=Hashable)


def sum_over_processes(tables: Mapping[Name, Tensor], group: Any | None) -> dict[Name, Tensor]:
    """Return the sum of each table over the processes, which all hold tables of these names, shapes and dtypes."""
    sums: dict[Name, Tensor] = {}
    for dtype in sorted({table.dtype for table in tables.values()}, key=str):
        names = [name for name, table in tables.items() if table.dtype == dtype]
        flat = torch.cat([tables[name].reshape(-1) for name in names])
        torch.distributed.all_reduce(flat, group=group)
        parts = torch.split(flat, [tables[name].numel() for name in names])
        sums.update({name: part.view(tables[name].shape) for name, part in zip(names, parts, strict=True)})
    return sums


def is_anywhere(facts: Sequence[bool], device: torch.device, group: Any | None) -> list[bool]:
    """Return, for each fact, whether it holds in any process."""
    flags = torch.tensor(facts, dtype=torch.int64, device=device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX, group=group)
    return [bool(flag) for flag in flags.tolist()]
