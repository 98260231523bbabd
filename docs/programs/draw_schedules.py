"""Draw the schedules of TemperatureAnnealing and CoarseToFine, and the ladders of KAnnealing.

Run with ``python docs/programs/draw_schedules.py``; it writes ``temperature_annealing.svg``, ``k_annealing.svg`` and
``coarse_to_fine.svg`` into ``docs/assets/``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib import pyplot as plt

from topk_lightning.callbacks import CoarseToFine, KAnnealing, TemperatureAnnealing
from topk_lightning.schedules import Steps

ASSETS = Path(__file__).parents[1] / "assets"
STYLES = (("#1b3a6b", "-"), ("#3274b5", "--"), ("#e08a1e", "-."), ("#b5382a", ":"))


def temperatures() -> None:
    """The three schedules by name, and what hold_fraction and finish_fraction do."""
    plain = {name: TemperatureAnnealing(schedule=name) for name in ("exponential", "linear", "cosine")}
    bounded = {
        "hold_fraction=0.2": TemperatureAnnealing(hold_fraction=0.2),
        "finish_fraction=0.6": TemperatureAnnealing(finish_fraction=0.6),
        "start=0.5, end=2": TemperatureAnnealing(start=0.5, end=2.0),
    }
    figure, both = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axes, annealings, title in ((both[0], plain, "schedule="), (both[1], bounded, "exponential, with")):
        for (name, annealing), (colour, dash) in zip(annealings.items(), STYLES, strict=False):
            annealing.plot(axes)
            axes.lines[-1].set(color=colour, linestyle=dash, linewidth=2, label=name)
        axes.legend(frameon=False, title=title, alignment="left")
        axes.set_ylabel("temperature" if axes is both[0] else "")
    figure.savefig(ASSETS / "temperature_annealing.svg", metadata={"Date": None})


def ladders() -> None:
    """Two ladders over 10 epochs."""
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    ladders = {
        "ladder=(5, 3, 1), at=(0, 0.5, 0.8)": KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8)),
        "ladder=(10, 5, 2, 1), at=(0, 0.2, 0.4, 0.6)": KAnnealing(ladder=(10, 5, 2, 1), at=(0, 0.2, 0.4, 0.6)),
    }
    for (name, annealing), (colour, dash) in zip(ladders.items(), STYLES, strict=False):
        annealing.plot(axes)
        axes.lines[-1].set(color=colour, linestyle=dash, linewidth=2, label=name)
    axes.set(ylabel="k", yticks=(1, 2, 3, 5, 10))
    axes.legend(frameon=False)
    figure.savefig(ASSETS / "k_annealing.svg", metadata={"Date": None})


def coarse_weights() -> None:
    """The weight of the coarse loss by the schedules with a name, and by steps."""
    figure, axes = plt.subplots(figsize=(9, 2.8), layout="constrained")
    groups = [0, 0, 1]
    schedules = {
        'schedule="switch"': CoarseToFine(groups),
        'schedule="linear"': CoarseToFine(groups, schedule="linear"),
        'schedule="cosine", finish_fraction=0.7': CoarseToFine(groups, schedule="cosine", finish_fraction=0.7),
        "Steps((1, 0.5, 0), at=(0, 0.2, 0.5))": CoarseToFine(groups, schedule=Steps((1.0, 0.5, 0.0), (0.0, 0.2, 0.5))),
    }
    for (name, callback), (colour, dash) in zip(schedules.items(), STYLES, strict=True):
        callback.plot(axes)
        axes.lines[-1].set(color=colour, linestyle=dash, linewidth=2, label=name)
    figure.legend(frameon=False, loc="outside right center")
    figure.savefig(ASSETS / "coarse_to_fine.svg", metadata={"Date": None})


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    ASSETS.mkdir(exist_ok=True)
    temperatures()
    ladders()
    coarse_weights()
