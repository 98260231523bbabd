"""Groups of classes: accuracy at each level, how far off the mistakes are, and each group of the coarsest level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import HierarchyLevels, hierarchy_levels, wilson_interval
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 30

#: Groups that are listed; of more, those with the lowest accuracy.
_MOST = 24


@dataclass(frozen=True)
class Row:
    """A line with a name, a fraction, the bounds of its interval, and a remark."""

    name: str
    accuracy: float
    low: float
    high: float
    note: str


def section(results: Results) -> Section | None:
    """Return the accuracies of levels and groups, and where the mistakes stay; None without groups."""
    if results.coarsest is None:
        return None
    level, hierarchy = results.coarsest
    given: dict[str, Any] = dict(results.levels)
    nan_rows = int(results.values["nan_rows"])
    levels = hierarchy_levels(results.pairs, given, results.class_names, nan_rows=nan_rows)
    data = {
        "note": "How often the first guess lies in the right group, from the classes themselves to coarser levels.",
        "levels": _level_rows(levels),
        "distances": _distance_rows(levels),
        "title": f"Accuracy by {level}",
        "groups": _group_rows(results.pairs, results.values["support"], hierarchy),
    }
    values = {
        "level": level,
        "levels": data["levels"],
        "distances": [dict(zip(("name", "share", "note"), row, strict=True)) for row in _distance_rows(levels)],
        "groups": data["groups"],
    }
    return Section("Groups", data, values)


def _level_rows(levels: HierarchyLevels) -> list[Row]:
    return [
        Row(
            level.level,
            level.accuracy,
            level.low,
            level.high,
            f"{level.right:,} of {level.images:,} images; {level.num_groups:,} {'groups' if number else 'classes'}",
        )
        for number, level in enumerate(levels.levels)
    ]


def _distance_rows(levels: HierarchyLevels) -> list[tuple[str, float, str]]:
    """Return where the mistakes stay: the words, the share of the mistakes, a remark."""
    rows = []
    for distance in levels.distances if levels.mistakes else ():
        words = "in no common group" if distance.level is None else f"within one {distance.level}"
        note = f"{distance.mistakes:,} of {levels.mistakes:,} mistakes, {distance.by_chance:,.0f} by chance"
        if distance.example is not None:
            note += f"; such as {distance.example[0]} taken for {distance.example[1]}"
        rows.append((words, distance.mistakes / levels.mistakes, note))
    return rows


def _group_rows(pairs: Tensor, support: Tensor, hierarchy: Hierarchy) -> list[Row]:
    """Return the accuracy of the classes of each group that has images, lowest first."""
    group = torch.tensor(hierarchy.groups)
    right = pairs[pairs[:, 0] == pairs[:, 1]]
    empty = torch.zeros(hierarchy.num_groups, dtype=torch.float64)
    hits = empty.index_add(0, group[right[:, 0]], right[:, 2].double())
    images = empty.index_add(0, group, support.double())
    bounds = wilson_interval(hits / images, images, 0.95).tolist()
    classes = torch.bincount(group, minlength=hierarchy.num_groups).tolist()
    names = hierarchy.group_names
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
    return sorted(rows, key=lambda row: row.accuracy)[:_MOST]


def _number(count: float, singular: str, plural: str) -> str:
    return f"{count:,.0f} {singular if count == 1 else plural}"
