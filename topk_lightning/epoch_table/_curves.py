"""Training curves: losses on the left, top-k accuracies on the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from topk_lightning.drawing import COLOURS, bare_axes, new_figure
from topk_lightning.epoch_table._columns import accuracy_columns, column_label, loss_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_accuracies", "draw_losses", "training_curves"]

Rows = Sequence[Mapping[str, Any]]


def training_curves(rows: Rows) -> Figure:
    """Return a figure of the losses and the top-k accuracies of each epoch.

    Args:
        rows: the epoch table: dicts of "epoch" and logged names, as :class:`topk_lightning.callbacks.TrainingTrace`
            keeps them in ``rows``.
    """
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    draw_losses(left, rows)
    draw_accuracies(right, rows)
    figure.subplots_adjust(left=0.07, right=0.985, top=0.9, bottom=0.15, wspace=0.18)
    return figure


def draw_losses(axes: Axes, rows: Rows) -> None:
    """Draw each loss of the table against the epoch."""
    _draw(axes, rows, loss_columns(rows))
    axes.set(title="loss", xlabel="epoch")


def draw_accuracies(axes: Axes, rows: Rows) -> None:
    """Draw each top-k accuracy of the table against the epoch, as fractions."""
    _draw(axes, rows, accuracy_columns(rows))
    axes.set(title="accuracy on the validation set", xlabel="epoch", ylim=(0, 1))


def _draw(axes: Axes, rows: Rows, names: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    bare_axes(axes)
    for index, name in enumerate(names):
        points = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None and math.isfinite(row[name])]
        if not points:
            continue
        epochs, values = zip(*points, strict=True)
        # A single epoch would be no line; markers and dashes tell the curves apart without colour.
        marker, dash = ("o", "s", "^", "D", "v")[index % 5], ("-", "--", "-.", ":")[index % 4]
        axes.plot(
            epochs,
            values,
            dash,
            color=COLOURS[index % len(COLOURS)],
            marker=marker,
            markersize=3,
            label=column_label(name),
        )
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(2, *(row["epoch"] for row in rows), 2) + 0.5)
