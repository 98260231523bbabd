"""The trace of a prediction as a picture: the image, its k best classes, and feature maps of a few layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from topk_lightning.drawing import NamedPicture, draw_picture, draw_predictions, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from topk_lightning.prediction._layers import LayerTrace
    from topk_lightning.prediction._prediction_trace import PredictionTrace

__all__ = ["chosen_layers", "layer_picture"]

_ROWS, _COLUMNS = 5, 8
_WIDTH, _TOP, _ROW, _NOTE = 10.0, 2.6, 1.25, 0.4  # inches
_EXPLANATION = (
    "Of each layer the maps that vary most over the image, with the number of their channel; each on its own scale, dark "
    "for small values, light for large ones."
)


def layer_picture(trace: PredictionTrace) -> Figure:
    """Return a matplotlib figure: the image and its k best classes above feature maps, one row for a few of the layers.

    Args:
        trace: of :func:`topk_lightning.trace_prediction`.
    """
    layers = chosen_layers(trace.layers)
    height = _TOP + _ROW * len(layers) + (_NOTE if layers else 0)
    figure = new_figure(_WIDTH, height)
    # Images of other than three channels are shown in grey.
    picture = trace.picture if trace.picture.shape[2] == 3 else trace.picture.mean(2, keepdim=True).expand(-1, -1, 3)
    item = NamedPicture(picture.numpy(), trace.target_name or "", trace.predictions)
    ends = {"top": 1 - 0.35 / height, "bottom": 1 - (_TOP - 0.15) / height}
    grid = figure.add_gridspec(1, 2, left=0.02, right=0.9, width_ratios=[1, 2], **ends)
    draw_picture(figure.add_subplot(grid[0]), item)
    draw_predictions(figure.add_subplot(grid[1]), item)
    figure.text(0.98, 1 - 0.15 / height, trace.verdict, fontsize=9, ha="right", va="top", parse_math=False)
    for row, layer in enumerate(layers):
        _draw_maps(figure, layer, _TOP + row * _ROW)
    if layers:
        figure.text(0.02, 0.1 / height, _EXPLANATION, fontsize=8, color="#444444")
    return figure


def _draw_maps(figure: Figure, layer: LayerTrace, upper: float) -> None:
    """Draw a row of feature maps, `upper` inches below the top."""
    height = figure.get_figheight()
    caption = f"{layer.name}   {layer.kind}, {layer.shapes[0][1]} maps of {layer.shapes[0][2]} × {layer.shapes[0][3]}"
    figure.text(0.02, 1 - (upper + 0.12) / height, caption, fontsize=9, va="top", parse_math=False)
    ends = {"top": 1 - (upper + 0.33) / height, "bottom": 1 - (upper + _ROW) / height}
    grid = figure.add_gridspec(1, max(_COLUMNS, len(layer.channels)), left=0.02, right=0.98, **ends)
    for column, (channel, values) in enumerate(zip(layer.channels, layer.maps, strict=True)):  # type: ignore[arg-type]
        axes = figure.add_subplot(grid[column])
        axes.imshow(values.numpy(), cmap="viridis", interpolation="nearest")
        axes.set_axis_off()
        box = {"facecolor": "black", "alpha": 0.65, "linewidth": 0, "pad": 1}
        axes.text(0.04, 0.94, str(channel), transform=axes.transAxes, fontsize=7, va="top", color="white", bbox=box)


def chosen_layers(layers: Sequence[LayerTrace], count: int = _ROWS) -> list[LayerTrace]:
    """Return the last layer with feature maps at each size of the maps; of many sizes some, spread evenly."""
    by_size = {layer.shapes[0][2:]: layer for layer in layers if layer.maps is not None}
    last = [layer for layer in layers if layer in by_size.values()]
    if len(last) <= count:
        return last
    return [last[round(step * (len(last) - 1) / (count - 1))] for step in range(count)]
