"""Draw what a training leaves behind, in light and dark, for the first page, the gallery and the page about prediction.

Run with ``python docs/programs/draw_gallery.py runs/demo`` after ``topk-lightning demo``; it writes ``docs/assets/*.png``.
"""

from __future__ import annotations

import colorsys
import sys
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from topk_lightning import EmojiDataModule, TopKAccuracy, TrainedModel, layer_picture, predict_topk, trace_prediction
from topk_lightning.drawing import DARK, NamedPicture, bare_axes, png_of
from topk_lightning.epoch_table import read_table, training_curves
from topk_lightning.report import training_summary

ASSETS = Path(__file__).parents[1] / "assets"
PICTURES, DRAWING = 6, "dolphin"
NUMBERS = "Test on a vendor never seen in training: top-1 {:.3f}, top-3 {:.3f}, top-5 {:.3f}"


def darken(figure: Figure) -> Figure:
    """Turn the greys of a figure over, white to the colour of a dark card; colours and pictures stay."""
    for artist in figure.findobj():
        if isinstance(artist, Text) and artist.get_bbox_patch() is not None:  # a number that has a ground of its own
            continue
        for get, change in (
            ("get_facecolor", "set_facecolor"),
            ("get_edgecolor", "set_edgecolor"),
            ("get_color", "set_color"),
        ):
            if not isinstance(artist, AxesImage) and hasattr(artist, get) and hasattr(artist, change):
                _turn(artist, get, change)
    return figure


def _turn(artist: Artist, get: str, change: str) -> None:
    colours = getattr(artist, get)()
    try:
        red, green, blue, alpha = to_rgba(colours)
    except (ValueError, TypeError):  # the colours of a collection, which are those of data
        return
    _, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    if saturation < 0.1 and alpha > 0:
        card = colorsys.rgb_to_hls(*to_rgba(DARK["card"])[:3])
        getattr(artist, change)((*colorsys.hls_to_rgb(card[0], 1 - lightness * (1 - card[1]), 0.1), alpha))


def write(name: str, figure: Figure, dpi: int = 110) -> None:
    """Write a figure in light and dark."""
    (ASSETS / f"{name}.png").write_bytes(png_of(figure, dpi))
    (ASSETS / f"{name}_dark.png").write_bytes(png_of(darken(figure), dpi))


def main(run: Path) -> None:
    """Draw the pictures of a run of the demo."""
    checkpoint, rows = run / "best.ckpt", read_table(run / "epochs.csv")
    model = TrainedModel.load(checkpoint)
    data = EmojiDataModule(image_size=model.preprocessing.image_size)
    data.setup()
    metric = TopKAccuracy(k=5, max_k=20)
    with model.evaluating(), torch.inference_mode():
        for images, target in data.test_dataloader():
            metric.update(model.logits(images), target)
    accuracies = metric.curve().tolist()
    targets = data.targets("test")
    chosen = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))[:PICTURES].tolist()
    pictures = data.pictures("test", chosen)
    named = [
        NamedPicture(picture, data.class_names[targets[index]], predicted)
        for index, picture, predicted in zip(chosen, pictures, predict_topk(model, pictures, 3), strict=True)
    ]
    title = NUMBERS.format(*(accuracies[k - 1] for k in (1, 3, 5)))
    write("demo", training_summary(rows, named, title))
    write("gallery_curves", training_curves(rows), 90)
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    metric.plot(ax=axes)
    bare_axes(axes)
    write("gallery_accuracy", figure)
    (dolphin,) = data.pictures("test", [data.class_names.index(DRAWING)])
    write("trace", layer_picture(trace_prediction(checkpoint, dolphin, k=3, target=DRAWING)), 90)


if __name__ == "__main__":
    mpl.use("Agg")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"))
