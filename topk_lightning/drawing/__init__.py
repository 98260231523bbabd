"""Drawing of the library: figures of matplotlib, pictures with predictions, the palette, plots as SVG.

matplotlib is imported when a figure is drawn, not before.
"""

from topk_lightning.drawing._figures import COLOURS, bare_axes, new_figure, png_of
from topk_lightning.drawing._gallery import NamedPicture, draw_picture, draw_predictions
from topk_lightning.drawing._palette import DARK, LIGHT, css_variables
from topk_lightning.drawing._svg import Bar, Line, Plot, Point, Scale, nice_ticks, number, path_of
from topk_lightning.drawing._text import visible_text

__all__ = [
    "COLOURS",
    "DARK",
    "LIGHT",
    "Bar",
    "Line",
    "NamedPicture",
    "Plot",
    "Point",
    "Scale",
    "bare_axes",
    "css_variables",
    "draw_picture",
    "draw_predictions",
    "new_figure",
    "nice_ticks",
    "number",
    "path_of",
    "png_of",
    "visible_text",
]
