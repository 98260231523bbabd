"""Columns of an epoch table: which logged values belong into it, in which order, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["accuracy_columns", "column_label", "known_columns", "loss_columns", "watched_column"]

_VAL = r"val(?:id|idation)?"
# Of several validation loaders, as TopKClassifier and Lightning name them.
_LOADER = r"(?:/(?:dataloader_idx_)?(?P<loader>.+))?"
_KINDS = (
    ("train loss", re.compile(r"(?:train(?:ing)?[/_.\-])?loss(?:_epoch)?")),
    ("val loss", re.compile(rf"{_VAL}[/_.\-]loss(?:_epoch)?{_LOADER}")),
    ("top-k", re.compile(rf"{_VAL}[/_.\-](?P<group>.*?)[/_.\-]?top[-_]?(?P<k>\d+)(?:_epoch)?{_LOADER}")),
    ("temperature", re.compile(r"(?:.*[/_.\-])?temperature")),
    ("k", re.compile(r"(?:loss[/_.\-])?k")),
    ("lr", re.compile(r"lr")),
)


def _kind(name: str) -> tuple[int, str, int, str] | None:
    """Return the place of a logged name in the table (order of kinds, group, k) and its label."""
    for order, (kind, pattern) in enumerate(_KINDS):
        match = pattern.fullmatch(name)
        if match is None:
            continue
        parts = match.groupdict()
        loader = parts.get("loader") or ""
        of_loader = f" ({loader})" if loader else ""
        if kind == "top-k":
            group = match["group"].replace("_", " ")
            return order, f"{group}{of_loader}", int(match["k"]), f"{group} top-{match['k']}".strip() + of_loader
        return order, of_loader, 0, f"{kind}{of_loader}"
    return None


def known_columns(names: Iterable[str]) -> list[str]:
    """Return the names that belong into the table, in its order; one name where several say the same.

    Examples:
        >>> known_columns(["val/top5", "val/top1", "lr", "train/loss", "val/loss", "speed"])
        ['train/loss', 'val/loss', 'val/top1', 'val/top5', 'lr']
    """
    places = {name: kind for name in names if (kind := _kind(name))}
    by_place: dict[tuple[int, str, int], str] = {}
    # "loss_epoch" stands beside a "loss" that may be the last step's.
    for name in sorted(places, key=lambda name: (not name.endswith("_epoch"), len(name), name)):
        by_place.setdefault(places[name][:3], name)
    return [by_place[position] for position in sorted(by_place)]


def column_label(name: str) -> str:
    """Return the heading of a column: "train loss", "val loss", "top-5", or the logged name itself."""
    kind = _kind(name)
    return name if kind is None else kind[3]


def loss_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the losses of a table: of training, then of validation."""
    return [name for name in _columns_of(rows) if column_label(name).startswith(("train loss", "val loss"))]


def accuracy_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the validation top-k accuracies of a table, in its order."""
    return [name for name in _columns_of(rows) if "top-" in column_label(name)]


def _columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return known_columns({name for row in rows for name in row})


def watched_column(columns: Sequence[str]) -> str | None:
    """Return the column that decides which epoch is the best: the largest k, else a loss; of several loaders the first's."""
    topk = [(kind[2], name) for name in columns if (kind := _kind(name)) and kind[3].startswith("top-")]
    if topk:
        largest = max(k for k, _ in topk)
        return next(name for k, name in topk if k == largest)
    losses = [name for name in columns if "loss" in column_label(name)]
    return next((name for name in losses if column_label(name).startswith("val loss")), losses[-1] if losses else None)
