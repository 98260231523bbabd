"""One picture of a training: its curves, and pictures it never saw with their k best classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from topk_lightning.drawing import NamedPicture, draw_picture, draw_predictions, new_figure
from topk_lightning.epoch_table import draw_accuracies, draw_losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["training_summary"]

_ACROSS = 3


def training_summary(rows: Sequence[Mapping[str, Any]], pictures: Sequence[NamedPicture], title: str) -> Figure:
    """Return a figure with the curves of the epoch table above a gallery of predicted pictures.

    Args:
        rows: the epoch table, as :class:`topk_lightning.TrainingTrace` keeps it in ``rows``.
        pictures: pictures with their predictions, three across.
        title: a line above it all.
    """
    down = math.ceil(len(pictures) / _ACROSS)
    curves, gallery = 3.4, 2.0 * down
    height = 0.5 + curves + gallery
    figure = new_figure(12.0, height)
    figure.suptitle(
        title, x=0.05, y=1 - 0.1 / height, ha="left", va="top", fontsize=13, fontweight="bold", parse_math=False
    )
    top = 1 - 0.75 / height
    split = (gallery + 0.5) / height
    grid = figure.add_gridspec(1, 2, left=0.05, right=0.98, top=top, bottom=split, wspace=0.14)
    draw_losses(figure.add_subplot(grid[0, 0]), rows)
    draw_accuracies(figure.add_subplot(grid[0, 1]), rows)
    if pictures:
        grid = figure.add_gridspec(
            down, 3 * _ACROSS - 1, left=0.03, right=0.98, top=(gallery - 0.35) / height, bottom=0.01, hspace=0.35,
            wspace=0.06, width_ratios=[1.0, 1.25, 0.12] * (_ACROSS - 1) + [1.0, 1.25],
        )  # fmt: skip
        for index, item in enumerate(pictures):
            row, column = divmod(index, _ACROSS)
            draw_picture(figure.add_subplot(grid[row, 3 * column]), item)
            draw_predictions(figure.add_subplot(grid[row, 3 * column + 1]), item)
    return figure
