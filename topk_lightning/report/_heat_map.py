"""The confusions as a heat map: of all classes where they are few, of groups, or of the classes of the worst pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ConfusedPair

__all__ = ["MOST", "Cell", "HeatMap", "heat_map", "of_groups", "of_worst_pairs"]

#: Rows that a heat map may have: with more, its names could not be read.
MOST = 24


@dataclass(frozen=True)
class Cell:
    """A pair that occurs: its place, its count, and its share of the images of the actual class."""

    row: int
    column: int
    count: int
    share: float
    tip: str


@dataclass(frozen=True)
class HeatMap:
    """Names in the order of rows and columns, the cells that are not empty, and what a row is: a class or a group."""

    title: str
    names: Sequence[str]
    cells: Sequence[Cell]
    unit: str = "class"

    @property
    def side(self) -> int:
        """Number of rows."""
        return len(self.names)

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """The cells as a table: true class, first guess, images, share of the class."""
        names = self.names
        return [(names[c.row], names[c.column], f"{c.count:,}", f"{c.share:.3f}") for c in self.cells]


def heat_map(pairs: Tensor, names: Sequence[str], support: Tensor) -> HeatMap:
    """Return the confusions of all classes.

    Args:
        pairs: actual class, predicted class and count of every pair that occurs (M, 3).
        names: of the classes.
        support: images of each class (C,).
    """
    return _of(pairs, names, support, list(range(len(names))), "Confusions of all classes")


def of_groups(pairs: Tensor, support: Tensor, hierarchy: Hierarchy, level: str) -> HeatMap:
    """Return the confusions of the groups of a level."""
    group = torch.tensor(hierarchy.groups)
    count = hierarchy.num_groups
    flat = group[pairs[:, 0]] * count + group[pairs[:, 1]]
    table = torch.zeros(count * count, dtype=torch.int64).index_add_(0, flat, pairs[:, 2])
    places = table.nonzero().flatten()
    grouped = torch.stack([places // count, places % count, table[places]], dim=1)
    names = hierarchy.group_names
    images = torch.zeros(count, dtype=torch.int64).index_add_(0, group, support)
    return _of(grouped, names, images, list(range(count)), f"Confusions by {level}", level)


def of_worst_pairs(
    pairs: Tensor, names: Sequence[str], support: Tensor, worst: Sequence[ConfusedPair], most: int = MOST
) -> HeatMap:
    """Return the confusions among the classes of the worst pairs, at most `most` classes, partners side by side."""
    partners: dict[int, list[int]] = {}
    for pair in worst:
        first, second = pair.first_index, pair.second_index
        if len(partners.keys() | {first, second}) <= most:
            partners.setdefault(first, []).append(second)
            partners.setdefault(second, []).append(first)
    order: list[int] = []
    waiting = list(reversed(partners))
    while waiting:
        index = waiting.pop()
        if index not in order:
            order.append(index)
            waiting += [partner for partner in reversed(partners[index]) if partner not in order]
    return _of(pairs, names, support, order, f"Confusions among the {len(order)} classes of the worst pairs")


def _of(
    pairs: Tensor, names: Sequence[str], support: Tensor, order: list[int], title: str, unit: str = "class"
) -> HeatMap:
    position = torch.full((len(names),), -1, dtype=torch.int64)
    position[torch.tensor(order, dtype=torch.int64)] = torch.arange(len(order))
    rows, columns = position[pairs[:, 0]], position[pairs[:, 1]]
    inside = (rows >= 0) & (columns >= 0)
    cells = []
    for row, column, (actual, predicted, count) in zip(
        rows[inside].tolist(), columns[inside].tolist(), pairs[inside].tolist(), strict=True
    ):
        images = int(support[actual])
        what = "named right" if actual == predicted else f"taken for {names[predicted]}"
        cells.append(Cell(row, column, count, count / images, f"{names[actual]}: {count:,} of {images:,} {what}"))
    return HeatMap(title, [names[index] for index in order], cells, unit)
