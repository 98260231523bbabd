"""Figures show the numbers they are given, with nothing global read or changed."""

import io
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from topk_lightning.drawing import COLOURS, NamedPicture, draw_picture, draw_predictions, png_of
from topk_lightning.epoch_table import training_curves
from topk_lightning.prediction import TopKPrediction
from topk_lightning.report import training_summary

ROWS = [
    {"epoch": 1, "train/loss": 2.0, "val/loss": 3.0, "val/top1": 0.1, "val/top5": 0.4, "note": ""},
    {"epoch": 2, "train/loss": 1.0, "val/top1": 0.2, "val/top5": 0.5, "note": ""},
    {"epoch": 3, "train/loss": float("nan"), "val/loss": 2.5, "val/top1": 0.3, "val/top5": 0.6, "note": ""},
]


def picture(truth="cat", labels=("dog", "cat", "cow")):
    predictions = [
        TopKPrediction(label, i, p) for i, (label, p) in enumerate(zip(labels, (0.9, 0.06, 0.02), strict=True))
    ]
    return NamedPicture(Image.new("RGB", (8, 8), "red"), truth, predictions)


def new_axes():
    from topk_lightning.drawing import new_figure

    return new_figure(3, 2).add_subplot()


def test_curves_hold_the_values_of_the_table_and_leave_out_what_was_not_measured():
    losses, accuracies = training_curves(ROWS).axes
    drawn = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in losses.lines}
    assert drawn == {"train loss": [(1, 2.0), (2, 1.0)], "val loss": [(1, 3.0), (3, 2.5)]}
    drawn = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in accuracies.lines}
    assert drawn == {"top-1": [(1, 0.1), (2, 0.2), (3, 0.3)], "top-5": [(1, 0.4), (2, 0.5), (3, 0.6)]}
    assert accuracies.get_ylim() == (0, 1)


def test_curves_can_be_told_apart_without_colour():
    for axes in training_curves(ROWS).axes:
        assert len({(line.get_marker(), line.get_linestyle()) for line in axes.lines}) == len(axes.lines)


@pytest.mark.parametrize("rows", [[], ROWS[:1], [{"epoch": 1, "note": ""}]])
def test_curves_of_hardly_anything_are_a_picture_too(rows):
    with Image.open(io.BytesIO(png_of(training_curves(rows)))) as image:
        assert image.format == "PNG"


def test_bars_are_the_probabilities_and_the_true_class_stands_out():
    axes, item = new_axes(), picture()
    draw_predictions(axes, item)
    tracks, bars = axes.patches[0::2], axes.patches[1::2]
    assert [bar.get_width() for bar in tracks] == [1, 1, 1]
    assert [bar.get_width() for bar in bars] == [0.9, 0.06, 0.02]
    right = [bar.get_facecolor() == matplotlib.colors.to_rgba(COLOURS[2]) for bar in bars]
    assert right == [False, True, False]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["dog", "0.90", "cat ✓", "0.06", "cow", "0.02"]
    assert item.rank == 2
    assert picture(truth="hen").rank is None


def test_names_are_text_and_never_formulas():
    axes, item = new_axes(), picture(truth="$x^2", labels=("$x^2$", r"\frac{", "_a_"))
    draw_picture(axes, item)
    draw_predictions(axes, item)
    assert not any(text.get_parse_math() for text in [axes.title, *axes.texts[0::2]])
    png_of(axes.figure)


def test_names_in_scripts_that_the_font_lacks_do_not_warn():
    png_of(training_summary(ROWS, [picture(truth="猫", labels=("猫", "犬", "牛"))], "動物"))


def test_summary_holds_the_curves_and_each_picture_with_its_bars():
    figure = training_summary(ROWS, [picture()] * 6, "title")
    assert len(figure.axes) == 2 + 6 * 2
    assert figure.get_suptitle() == "title"
    with Image.open(io.BytesIO(png_of(figure))) as image:
        pixels = np.asarray(image.convert("RGB"))
    reds = (pixels == (255, 0, 0)).all(-1).sum()
    assert reds > 6 * 100 * 100  # the six pictures, at a size that one can see


def test_nothing_global_of_matplotlib_is_touched():
    before = dict(matplotlib.rcParams)
    pyplot = sys.modules.get("matplotlib.pyplot")
    figures = pyplot.get_fignums() if pyplot else []
    png_of(training_summary(ROWS, [picture()], "title"))
    assert dict(matplotlib.rcParams) == before
    assert (pyplot.get_fignums() if pyplot else []) == figures
