"""The figures of the pages, made of the results alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from math import nan
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from comparisons import compare, paired, results_of
from methods import BASELINE, CURRICULA, METHODS
from records import Results
from tables import measured_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_all"]

_INK, _TOP5, _TOP1, _BAND = "#333333", "#0072b2", "#d55e00", "#e8e8e4"
_COLOURS = ("#333333", "#0072b2", "#d55e00", "#009e73", "#b35a8c")
_CORE = (BASELINE, "temperature CE", "smooth SVM, in logits")


def draw_all(records: Results, folder: Path) -> None:
    """Write the figures as ``study_*.svg``; one for which there is nothing to show is left out."""
    import matplotlib

    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (_forest, _noise, _rates, _curves):
        draw(records, folder / f"study{draw.__name__}.svg")


def _forest(records: Results, path: Path) -> None:
    """Draw a row for each setting and a column for each method: the differences with their intervals."""
    settings = [setting.name for setting in measured_settings(records)]
    by_k = {k: {name: compare(records, name, f"top{k}") for name in settings} for k in (1, 5)}
    methods = [m.name for m in (*METHODS, *CURRICULA) if any(m.name in by_k[5][name] for name in settings)]
    if not methods:
        return
    figure, panels = _panels(len(methods), 6, 2.6, 1.25, 0.3 * len(settings) + 0.5)
    for axes, method in zip(panels, methods, strict=True):
        axes.axvspan(-1, 1, color=_BAND, linewidth=0)
        axes.axvline(0, color=_INK, linewidth=0.8)
        for k, colour, shift in ((5, _TOP5, -0.14), (1, _TOP1, 0.14)):
            there = [
                (row, by_k[k][name][method].paired) for row, name in enumerate(settings) if method in by_k[k][name]
            ]
            axes.errorbar(
                [100 * pair.difference for _, pair in there],
                [row + shift for row, _ in there],
                xerr=[100 * pair.half_width for _, pair in there],
                fmt="o" if k == 5 else "s",
                color=colour,
                markersize=4,
                label=f"top-{k}",
            )
        axes.set_title(re.sub(", (?=[a-z])", ",\n", method), fontsize=9)
        axes.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(settings)), settings)
    panels[0].set_ylim(len(settings) - 0.5, -0.5)
    figure.supxlabel("points of accuracy above cross entropy; bars: 95 % t intervals; grey: ±1 point", fontsize=9)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    _save(path)


def _noise(records: Results, path: Path) -> None:
    """Draw top-5 accuracy against the share of redrawn labels, with decay next to none and tuned."""
    from matplotlib import pyplot as plt

    _, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axes, ending, title in ((both[0], ", decay off", "weight decay 1e-4"), (both[1], "", "weight decay tuned")):
        for number, method in enumerate(_CORE):
            points = []
            for share in (0.0, 0.2, 0.4, 0.6, 0.8):
                name = "glyphs, clean" if share == 0 and not ending else f"glyphs, noise {share:.1f} in groups{ending}"
                rows = results_of(records, name.replace(" 0.", " ."), method)
                # No line leads over a share that was not measured.
                points.append((share, 100 * mean(r["top5"] for r in rows.values()) if rows else nan))
            axes.plot(*zip(*points, strict=True), "o-", color=_COLOURS[number], label=method)
        axes.set(title=title, xlabel="share of training labels drawn anew in groups of 5", xlim=(-0.03, 0.83))
        axes.grid(axis="y", color=_BAND)
    both[0].set_ylabel("top-5 accuracy on clean tests, %")
    both[1].legend(frameon=False)
    _save(path)


def _rates(records: Results, path: Path) -> None:
    """Draw the tuning of each method where only the rate and the own option are tuned."""
    name = "glyphs, noise .6 in groups, decay off"
    rows = [r for r in records if (r["grid"], r["setting"], r["stage"]) == ("a", name, "tuning")]
    methods = [m.name for m in METHODS if any(r["method"] == m.name for r in rows)]
    if not methods:
        return
    figure, panels = _panels(len(methods), 5, 1, 1.9, 2.6)
    for axes, method in zip(panels, methods, strict=True):
        mine = [r for r in rows if r["method"] == method]
        options = list(dict.fromkeys(r["option"] for r in sorted(mine, key=lambda r: r["candidate"])))
        options.sort(key=lambda option: [float(n) for n in re.findall(r"[\d.]+", option)])
        mine.sort(key=lambda r: (options.index(r["option"]), r["candidate"]))
        for number, (option, of_option) in enumerate(groupby(mine, key=lambda r: str(r["option"]))):
            points: dict[float, list[float]] = {}
            for r in of_option:
                points.setdefault(r["learning_rate"], []).append(100 * r["top5"])
            rates = sorted(points)
            label = option.split(" ", 1)[-1] if option else None
            axes.plot(
                rates,
                [mean(points[rate]) for rate in rates],
                "o-",
                markersize=3,
                color=_COLOURS[1 + number],
                label=label,
            )
        axes.set_xscale("log")
        axes.set_title(re.sub(", (?=[a-z])", ",\n", method), fontsize=9)
        axes.tick_params(labelsize=8)
        if len({r["option"] for r in mine}) > 1 and max(len(r["option"]) for r in mine) < 20:
            axes.legend(frameon=False, fontsize=7, title=mine[0]["option"].split(" ")[0], title_fontsize=7)
    figure.supylabel("top-5 on the tuning splits, %", fontsize=9)
    figure.supxlabel("learning rate", fontsize=9)
    _save(path)


def _curves(records: Results, path: Path) -> None:
    """Draw top-5 accuracy after each epoch for cross entropy and the curricula."""
    from matplotlib import pyplot as plt

    settings = [s.name for s in measured_settings(records) if s.curricula]
    if not settings:
        return
    _, columns = plt.subplots(1, len(settings), figsize=(5 * len(settings), 3.6), squeeze=False, layout="constrained")
    for axes, setting in zip(columns[0], settings, strict=True):
        for number, method in enumerate((BASELINE, *(m.name for m in CURRICULA))):
            _curve(axes, [r["curve"] for r in results_of(records, setting, method).values()], method, _COLOURS[number])
        axes.set(title=setting, xlabel="epoch", ylabel="top-5 accuracy, %")
        axes.legend(frameon=False)
    _save(path)


def _curve(axes: Axes, curves: Sequence[Sequence[Sequence[float]]], label: str, colour: str) -> None:
    if len(curves) < 2:
        return
    epochs = range(1, len(curves[0]) + 1)
    by_epoch = [[100 * curve[epoch - 1][1] for curve in curves] for epoch in epochs]
    centre = [mean(values) for values in by_epoch]
    width = [paired(values, [0.0] * len(values)).half_width for values in by_epoch]
    axes.plot(epochs, centre, color=colour, label=label)
    low, high = ([c + sign * w for c, w in zip(centre, width, strict=True)] for sign in (-1, 1))
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)


def _panels(number: int, across: int, left: float, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return so many panels with common axes, in rows that fit on a page; all lengths in inches."""
    from matplotlib import pyplot as plt

    across = min(across, number)
    down = -(-number // across)
    figure, rows = plt.subplots(
        down, across, figsize=(max(4, left + width * across), height * down + 0.6), sharey=True, sharex=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    panels = list(rows.flat)
    for spare in panels[number:]:
        spare.remove()
    return figure, panels[:number]


def _save(path: Path) -> None:
    from matplotlib import pyplot as plt

    plt.gcf().savefig(path, metadata={"Date": None})
    plt.close()
