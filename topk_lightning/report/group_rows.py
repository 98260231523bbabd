"""Groups of classes: accuracy at each level, how far off the mistakes are, and each group of a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics._intervals import wilson_interval
from topk_lightning.metrics.hierarchy_levels import HierarchyLevels, hierarchy_levels

__all__ = ["Row", "distance_rows", "group_rows", "level_rows"]

#: Groups that are listed; of more, those with the lowest accuracy.
MOST = 24


@dataclass(frozen=True)
class Row:
    """A line with a name, a fraction, the bounds of its interval, and a remark."""

    name: str
    accuracy: float
    low: float
    high: float
    note: str


def level_rows(
    pairs: Tensor, levels: Mapping[str, Hierarchy], names: Sequence[str], nan_rows: int
) -> tuple[list[Row], HierarchyLevels]:
    """Return the accuracy at each level, and the distances of the mistakes."""
    given: dict[str, Any] = dict(levels)
    found = hierarchy_levels(pairs, given, names, nan_rows=nan_rows)
    rows = [
        Row(
            level.level,
            level.accuracy,
            level.low,
            level.high,
            f"{level.right:,} of {level.images:,} images; {level.num_groups:,} {'groups' if place else 'classes'}",
        )
        for place, level in enumerate(found.levels)
    ]
    return rows, found


def distance_rows(found: HierarchyLevels) -> list[tuple[str, float, str]]:
    """Return where the mistakes stay: the words, the share of the mistakes, a remark."""
    rows = []
    for distance in found.distances if found.mistakes else ():
        words = "in no common group" if distance.level is None else f"within one {distance.level}"
        note = f"{distance.mistakes:,} of {found.mistakes:,} mistakes, {distance.by_chance:,.0f} by chance"
        if distance.example is not None:
            note += f"; such as {distance.example[0]} taken for {distance.example[1]}"
        rows.append((words, distance.mistakes / found.mistakes, note))
    return rows


def group_rows(pairs: Tensor, support: Tensor, hierarchy: Hierarchy) -> list[Row]:
    """Return the accuracy of the classes of each group that has images, lowest first."""
    group = torch.tensor(hierarchy.groups)
    right = pairs[pairs[:, 0] == pairs[:, 1]]
    empty = torch.zeros(hierarchy.num_groups, dtype=torch.float64)
    hits = empty.index_add(0, group[right[:, 0]], right[:, 2].double())
    images = empty.index_add(0, group, support.double())
    bounds = wilson_interval(hits / images, images, 0.95).tolist()
    classes = torch.bincount(group, minlength=hierarchy.num_groups).tolist()
    names = hierarchy.coarse_names or [f"group {index}" for index in range(hierarchy.num_groups)]
    rows = [
        Row(
            name,
            hit / count,
            low,
            high,
            f"{hit:,.0f} of {_number(count, 'image', 'images')}, {_number(of_group, 'class', 'classes')}",
        )
        for name, hit, count, (low, high), of_group in zip(
            names, hits.tolist(), images.tolist(), bounds, classes, strict=True
        )
        if count
    ]
    return sorted(rows, key=lambda row: row.accuracy)[:MOST]


def _number(of: float, one: str, many: str) -> str:
    return f"{of:,.0f} {one if of == 1 else many}"
