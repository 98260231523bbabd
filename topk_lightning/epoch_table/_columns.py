"""Columns of an epoch table: which logged values belong into it, in which order, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["accuracy_columns", "column_label", "known_columns", "loss_columns", "watched_column"]

_VAL = r"val(?:id|idation)?"
_KINDS = (
    ("train loss", re.compile(r"(?:train(?:ing)?[/_.\-])?loss(?:_epoch)?")),
    ("val loss", re.compile(rf"{_VAL}[/_.\-]loss(?:_epoch)?")),
    ("top-k", re.compile(rf"{_VAL}[/_.\-](?P<group>.*?)[/_.\-]?top[-_]?(?P<k>\d+)(?:_epoch)?")),
    ("temperature", re.compile(r"(?:.*[/_.\-])?temperature")),
    ("k", re.compile(r"(?:loss[/_.\-])?k")),
    ("lr", re.compile(r"lr")),
)


def _kind(name: str) -> tuple[int, str, int, str] | None:
    """Return the place of a logged name in the table (order of kinds, group, k) and its label."""
    for order, (kind, pattern) in enumerate(_KINDS):
        match = pattern.fullmatch(name)
        if match and kind == "top-k":
            group = match["group"].replace("_", " ")
            return order, group, int(match["k"]), f"{group} top-{match['k']}".strip()
        if match:
            return order, "", 0, kind
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
    return [by_place[place] for place in sorted(by_place)]


def column_label(name: str) -> str:
    """Return the heading of a column: "train loss", "val loss", "top-5", or the logged name itself."""
    kind = _kind(name)
    return name if kind is None else kind[3]


def loss_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the losses of a table: of training, then of validation."""
    return [name for name in _columns_of(rows) if column_label(name) in ("train loss", "val loss")]


def accuracy_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the validation top-k accuracies of a table, in its order."""
    return [name for name in _columns_of(rows) if "top-" in column_label(name)]


def _columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return known_columns({name for row in rows for name in row})


def watched_column(columns: Sequence[str]) -> str | None:
    """Return the column that decides which epoch is the best: the largest k, else a loss."""
    topk = [name for name in columns if column_label(name).startswith("top-")]
    losses = [name for name in columns if "loss" in column_label(name)]
    return (topk or losses or [None])[-1]  # type: ignore[list-item]
