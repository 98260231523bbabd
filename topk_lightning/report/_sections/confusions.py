"""Which classes are taken for each other: a heat map, the worst pairs, and the classes that are nearly right."""

from __future__ import annotations

from typing import Any

from topk_lightning.metrics import ConfusedPair, NearlyRight
from topk_lightning.report._heat_map import MOST, HeatMap, heat_map, of_groups, of_worst_pairs
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 50

#: Pairs that the heat map is drawn from; those that are listed; classes that are listed as nearly right.
_DRAWN, _LISTED, _NEARLY = 40, 12, 10


def section(results: Results) -> Section:
    """Return the heat map, the pairs that are taken for each other, and what is nearly right."""
    wrong = results.pairs[results.pairs[:, 0] != results.pairs[:, 1]]
    confused = results.report.most_confused(_DRAWN)
    # A pair that occurred once is no pattern.
    listed = [pair for pair in confused[:_LISTED] if pair.total > 1]
    data: dict[str, Any] = {
        "mistakes": int(wrong[:, 2].sum()),
        "note": f"{int(wrong[:, 2].sum()):,} images were taken for another class; they spread over "
        f"{len(wrong):,} ordered pairs of classes.",
        "heat": _heat(results, confused),
        "pairs": listed,
        "most": max((pair.total for pair in listed), default=1),
        "nearly": _nearly_right(results),
    }
    heat = data["heat"]
    values = {
        "mistakes": data["mistakes"],
        "most_confused": confused,
        "heat_map": heat and {"title": heat.title, "names": heat.names, "cells": heat.cells},
        "nearly_right": data["nearly"],
        "notes": [data["note"]],
    }
    return Section("Confusions", data, values)


def _heat(results: Results, confused: list[ConfusedPair]) -> HeatMap | None:
    pairs, names, support = results.pairs, results.class_names, results.values["support"]
    if len(names) <= MOST:
        return heat_map(pairs, names, support)
    few = float(support[support > 0].double().mean()) < 5
    if few and results.coarsest is not None and results.coarsest[1].num_groups <= MOST:
        level, hierarchy = results.coarsest
        return of_groups(pairs, support, hierarchy, level)
    return of_worst_pairs(pairs, names, support, confused) if confused else None


def _nearly_right(results: Results) -> list[NearlyRight]:
    nearly = results.report.nearly_right(results.k)[:_NEARLY] if results.k > 1 else []
    return [row for row in nearly if row.nearly > 1]
