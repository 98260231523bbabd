"""The trace of a prediction as a picture: the image, its k best classes, and feature maps of a few layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from topk_lightning.report.figures import new_figure
from topk_lightning.report.gallery import NamedPicture, draw_picture, draw_predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from topk_lightning.prediction.layers import LayerTrace
    from topk_lightning.prediction.trace import PredictionTrace

__all__ = ["chosen_layers", "trace_picture"]

_ROWS = 5
_WIDTH, _TOP, _ROW = 10.0, 2.6, 1.25  # inches


def trace_picture(trace: PredictionTrace) -> Figure:
    """Return a figure with the image and its k best classes above rows of feature maps, one row a layer."""
    layers = chosen_layers(trace.layers)
    height = _TOP + _ROW * len(layers)
    figure = new_figure(_WIDTH, height)
    # Images of other than three channels are shown in grey.
    picture = trace.picture if trace.picture.shape[2] == 3 else trace.picture.mean(2, keepdim=True).expand(-1, -1, 3)
    item = NamedPicture(picture.numpy(), trace.target_name or "", trace.predictions)
    top = figure.add_gridspec(
        1, 2, left=0.02, right=0.9, top=1 - 0.35 / height, bottom=1 - (_TOP - 0.15) / height, width_ratios=[1, 2]
    )
    draw_picture(figure.add_subplot(top[0]), item)
    draw_predictions(figure.add_subplot(top[1]), item)
    across = max((len(layer.channels) for layer in layers), default=1)
    for row, layer in enumerate(layers):
        upper = _TOP + row * _ROW  # from the top
        figure.text(0.02, 1 - (upper + 0.12) / height, _caption(layer), fontsize=9, va="top", parse_math=False)
        grid = figure.add_gridspec(
            1, across, left=0.02, right=0.98, top=1 - (upper + 0.33) / height, bottom=1 - (upper + _ROW) / height
        )
        for column, channel in enumerate(layer.channels):
            axes = figure.add_subplot(grid[column])
            axes.imshow(
                layer.maps[column].numpy(),  # type: ignore[index]
                cmap="viridis",
                interpolation="nearest",
            )
            axes.set_axis_off()
            axes.text(0.03, 0.95, str(channel), transform=axes.transAxes, fontsize=7, va="top", color="white")
    return figure


def chosen_layers(layers: Sequence[LayerTrace], count: int = _ROWS) -> list[LayerTrace]:
    """Return the last layer with feature maps at each size of the maps; of many sizes some, spread evenly."""
    by_size = {layer.shapes[0][2:]: layer for layer in layers if layer.maps is not None}
    last = [layer for layer in layers if layer in by_size.values()]
    if len(last) <= count:
        return last
    return [last[round(place * (len(last) - 1) / (count - 1))] for place in range(count)]


def _caption(layer: LayerTrace) -> str:
    channels, *size = layer.shapes[0][1:]
    return f"{layer.name}   {layer.kind}, {channels} maps of {' × '.join(map(str, size))}"
