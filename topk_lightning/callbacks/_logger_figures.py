"""Figures of a test for loggers, drawn from report.json: accuracy at each k, and what a confidence is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from topk_lightning.drawing import COLOURS, bare_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_figure", "calibration_figure"]


def accuracy_figure(report: Mapping[str, Any]) -> Figure:
    """Return the accuracy at each k with its 95 % band, and chance."""
    rows, chance = report["sections"]["accuracy"]["curve"], report["sections"]["accuracy"]["topk"][0]["chance"]
    k, accuracy, low, high = ([row[name] for row in rows] for name in ("k", "accuracy", "low", "high"))
    figure = new_figure(5.5, 3.6)
    axes = figure.subplots()
    bare_axes(axes)
    axes.fill_between(k, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label="95 % interval")
    axes.plot(k, accuracy, color=COLOURS[0], label="accuracy")
    axes.plot(k, [min(1.0, chance * each) for each in k], "--", color="#666666", label="chance")
    axes.set(title=f"{report['images']['tested']:,} test images", xlabel="k, guesses looked at", ylim=(0, 1))
    axes.set_ylabel("right class among the first k")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.subplots_adjust(left=0.12, right=0.97, top=0.9, bottom=0.14)
    return figure


def calibration_figure(report: Mapping[str, Any]) -> Figure:
    """Return accuracy against confidence with 95 % intervals; on the diagonal confidence means what it says."""
    curve = report["sections"]["calibration"]["as_trained"]
    bins = [bin_ for bin_ in curve["bins"] if bin_["images"]]
    confidence, accuracy = ([bin_[name] for bin_ in bins] for name in ("confidence", "accuracy"))
    reach = [[bin_["accuracy"] - bin_["low"] for bin_ in bins], [bin_["high"] - bin_["accuracy"] for bin_ in bins]]
    figure = new_figure(4.2, 3.9)
    axes = figure.subplots()
    bare_axes(axes)
    axes.plot([0, 1], [0, 1], "--", color="#666666", label="as it should be")
    axes.errorbar(confidence, accuracy, reach, color=COLOURS[0], marker="o", markersize=4, capsize=2, label="measured")
    axes.set(title=f"expected calibration error {curve['error']:.3f}", xlim=(0, 1), ylim=(0, 1))
    axes.set(xlabel="confidence of the first guess", ylabel="fraction that was right")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    figure.subplots_adjust(left=0.15, right=0.96, top=0.91, bottom=0.13)
    return figure
