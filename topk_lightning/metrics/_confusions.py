"""Counts of (actual, predicted) pairs, as a table for few classes and as a list of what occurs for many.

A pair is one number, ``actual · C + predicted``. The list is a tensor (M, 2) of such codes and their counts; batches are
appended raw, with code −1 for a row without a prediction, and compacted now and then, so that memory follows the number
of different pairs and an update waits for no accelerator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["DENSE_CLASSES", "append", "compact", "pairs_of_list", "pairs_of_table"]

# A table of 2048² counts in int64 takes 32 MiB, which every process holds and gathers. 1000 classes take 8 MiB; the
# 21,841 of ImageNet-21k would take 3.6 GiB.
DENSE_CLASSES = 2048

# Rows that may wait for the next compaction: 1 MiB of pairs.
_PENDING = 2**16


def append(parts: Sequence[Tensor], code: Tensor, counted: Tensor) -> list[Tensor]:
    """Return the list with rows appended, compacted once as many rows wait as are compacted already."""
    code = torch.where(counted, code, -1)
    parts = [*(parts or [code.new_empty(0, 2)]), torch.stack([code, torch.ones_like(code)], dim=1)]
    waiting = sum(len(part) for part in parts[1:])
    return [compact(parts)] if waiting > max(_PENDING, len(parts[0])) else parts


def compact(parts: Sequence[Tensor]) -> Tensor:
    """Return each code once, in ascending order, with its count: (M, 2)."""
    # The option compute_on_cpu of torchmetrics takes earlier parts off the accelerator.
    pairs = torch.cat([part.to(parts[-1].device) for part in parts])
    pairs = pairs[pairs[:, 0] >= 0]
    codes, inverse = pairs[:, 0].unique(return_inverse=True)  # type: ignore[no-untyped-call]
    return torch.stack([codes, torch.zeros_like(codes).index_add_(0, inverse, pairs[:, 1])], dim=1)


def pairs_of_table(table: Tensor) -> Tensor:
    """Return (actual, predicted, count) of the pairs that occur, in order: (M, 3)."""
    actual, predicted = table.nonzero(as_tuple=True)
    return torch.stack([actual, predicted, table[actual, predicted]], dim=1)


def pairs_of_list(parts: Sequence[Tensor], num_classes: int) -> Tensor:
    """Return (actual, predicted, count) of the pairs that occur, in order: (M, 3)."""
    codes, counts = compact(parts).unbind(1)
    return torch.stack([codes // num_classes, codes % num_classes, counts], dim=1)
