"""The curves of a training as plots for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from topk_lightning.drawing import Line, Plot, Point, Scale, nice_ticks, number, path_of
from topk_lightning.epoch_table._columns import accuracy_columns, column_label, loss_columns

__all__ = ["training_plots"]

Rows = Sequence[Mapping[str, Any]]


def training_plots(rows: Rows) -> list[Plot]:
    """Return the losses and the validation accuracies of each epoch, as far as the table has them."""
    losses, accuracies = loss_columns(rows), accuracy_columns(rows)
    plots = []
    if losses:
        plots.append(_plot("losses", "Loss by epoch", "loss", rows, losses, None))
    if accuracies:
        plots.append(_plot("learning", "Accuracy on validation images by epoch", "accuracy", rows, accuracies, 1))
    return [plot for plot in plots if plot.rows]


def _plot(name: str, title: str, unit: str, rows: Rows, columns: list[str], top: float | None) -> Plot:
    curves = {column: [(row["epoch"], row[column]) for row in rows if _finite(row.get(column))] for column in columns}
    curves = {column: points for column, points in curves.items() if points}
    values = [value for points in curves.values() for _, value in points] or [0.0]
    epochs = [row["epoch"] for row in rows]
    x = Scale.across(min(epochs), max(*epochs, min(epochs) + 1))
    low, high = (0.0, top) if top is not None else (min(0.0, *values), max(values) * 1.05 or 1.0)
    y = Scale.upward(low, high)
    ends = "; ".join(f"{column_label(c)} from {p[0][1]:.3f} to {p[-1][1]:.3f}" for c, p in curves.items())
    return Plot(
        name=name,
        title=title,
        summary=f"Curves over {len(rows)} epochs: {ends}.",
        x_label="epoch",
        y_label=unit,
        x_ticks=[(x(tick), f"{tick:g}") for tick in nice_ticks(x.low, x.high) if tick == round(tick)],
        y_ticks=[(y(tick), f"{tick:g}") for tick in nice_ticks(low, high)],
        lines=[
            Line(column_label(column), path_of((x(epoch), y(value)) for epoch, value in points), style)
            for style, (column, points) in enumerate(curves.items())
        ],
        # A single epoch would be no line.
        points=[
            Point(x(points[-1][0]), y(points[-1][1]), f"{column_label(column)}: {points[-1][1]:.3f}", style)
            for style, (column, points) in enumerate(curves.items())
        ],
        columns=("epoch", *(column_label(column) for column in curves)),
        rows=[(f"{row['epoch']:g}", *(number(row[c]) if _finite(row.get(c)) else "–" for c in curves)) for row in rows]
        if curves
        else [],
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
