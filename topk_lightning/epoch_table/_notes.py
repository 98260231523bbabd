"""Remarks on the rows of an epoch table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from topk_lightning.epoch_table._columns import column_label, known_columns

__all__ = ["note", "part_of_epoch"]


def note(rows: Sequence[Mapping[str, Any]], watched: str | None, patience: int) -> str:
    """Return a short remark on the last of `rows`; an empty text where there is nothing to say.

    "best so far": better than every epoch before. "plateau since 7": epoch 7 was the best, `patience` or more epochs ago.
    "overfitting since 7": the validation loss was lowest in epoch 7, `patience` or more epochs ago, is now more than 2 %
    higher, and the training loss fell meanwhile.

    Args:
        rows: the table up to the row in question.
        watched: the column that decides which epoch is the best; a loss counts down, everything else up.
        patience: epochs without a better one before it is called a plateau.
    """
    columns = known_columns(rows[-1])
    train, val = (
        next((name for name in columns if column_label(name).startswith(kind)), None)
        for kind in ("train loss", "val loss")
    )
    for name in filter(None, (train, val)):
        value = rows[-1].get(name)
        if value is not None and not math.isfinite(value):
            return f"{column_label(name)} is not finite: training has diverged"
    remarks = []
    history = _history(rows, watched, larger_is_better=watched is not None and "loss" not in column_label(watched))
    if history and history[-1][0] is rows[-1]:
        best = max(range(len(history)), key=lambda i: (history[i][1], -i))
        since = len(history) - 1 - best
        if since == 0 and len(history) > 1:
            remarks.append("best so far")
        rise = _overfitting(rows, train, val, patience)
        if rise:
            remarks.append(rise)
        elif since >= patience:
            remarks.append(f"plateau since {history[best][0]['epoch']}")
    return "; ".join(remarks)


def _history(
    rows: Sequence[Mapping[str, Any]], name: str | None, larger_is_better: bool
) -> list[tuple[Mapping[str, Any], float]]:
    """Return the rows that have a value of `name`, and the value as something that counts up."""
    sign = 1 if larger_is_better else -1
    values = [(row, row.get(name or "")) for row in rows]
    return [(row, sign * value) for row, value in values if value is not None and math.isfinite(value)]


def _overfitting(rows: Sequence[Mapping[str, Any]], train: str | None, val: str | None, patience: int) -> str:
    history = _history(rows, val, larger_is_better=False)
    if not history or train is None:
        return ""
    best = max(range(len(history)), key=lambda i: (history[i][1], -i))
    (best_row, lowest), (row, now) = history[best], history[-1]
    lowest, now = -lowest, -now
    before, after = best_row.get(train), row.get(train)
    if len(history) - 1 - best < patience or before is None or after is None or after >= before:
        return ""
    if now - lowest <= 0.02 * abs(lowest):
        return ""
    return f"overfitting since {best_row['epoch']}"


def part_of_epoch(batches_before: int, batches: float, loader: Any, processes: int = 1) -> str:
    """Return the remark on an epoch whose training numbers leave out its first batches, in rows where the loader says them.

    Args:
        batches_before: batches of the epoch that an earlier run trained on.
        batches: batches of the epoch.
        loader: the loader of the training.
        processes: that train together; each counts its own batches.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> part_of_epoch(4, 8, DataLoader(range(62), batch_size=8))
        'train: rows 33 to 62 of 62'
        >>> part_of_epoch(4, 8, loader=[])
        'train: batches 5 to 8 of 8'
        >>> part_of_epoch(4, 8, DataLoader(range(62), batch_size=8), processes=2)
        'train: batches 5 to 8 of 8 in each of 2 processes'
    """
    if processes > 1:
        return f"train: batches {batches_before + 1} to {batches} of {batches} in each of {processes} processes"
    size, sampler = getattr(loader, "batch_size", None), getattr(loader, "sampler", None)
    if isinstance(size, int) and isinstance(sampler, Sized) and math.isfinite(batches):
        rows = min(len(sampler), int(batches) * size)
        return f"train: rows {batches_before * size + 1} to {rows} of {rows}"
    return f"train: batches {batches_before + 1} to {batches} of {batches}"
