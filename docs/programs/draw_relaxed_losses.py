"""Draw the figures of the soft top-k loss, top-k cross entropy and the relaxations.

Run with ``python docs/programs/draw_relaxed_losses.py``; it writes ``docs/assets/*.svg``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from torch import Tensor

from topk_lightning.losses import soft_topk_loss, topk_cross_entropy_loss
from topk_lightning.relaxations import soft_topk_mask

ASSETS = Path(__file__).parents[1] / "assets"
COLOURS = ("#1b3a6b", "#3274b5", "#e08a1e", "#b5382a")


def rows_over_gap(gaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits of 20 classes and the target: four strong competitors, the fifth at 0, then a falling tail."""
    competitors = torch.cat([torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]), -torch.arange(1.0, 15.0) / 3])
    return torch.cat([gaps.unsqueeze(1), competitors.expand(len(gaps), -1)], 1), torch.zeros(len(gaps)).long()


def mark(axes: Axes, title: str) -> None:
    """Mark where the target enters the top 5."""
    axes.axvline(0, color="0.75", linewidth=1, zorder=0)
    axes.set(title=title, xlabel="$s_y$ − fifth largest competitor", ylabel="loss")
    axes.legend(frameon=False, title="temperature")


def soft_topk() -> None:
    """Loss against gap for several temperatures and both memberships."""
    gaps = torch.linspace(-6, 6, 400, dtype=torch.float64)
    logits, target = rows_over_gap(gaps)
    figure, both = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for axes, membership in zip(both, ("logistic", "laplace"), strict=True):
        for temperature, colour in zip((0.3, 1.0, 3.0, 10.0), COLOURS, strict=True):
            loss = soft_topk_loss(logits, target, 5, temperature=temperature, membership=membership, reduction="none")
            axes.plot(gaps, loss, color=colour, label=f"{temperature:g}")
        axes.set_ylim(-0.2, 8)
        mark(axes, f"soft top-5, {membership}")
    figure.savefig(ASSETS / "soft_topk.svg")


def topk_cross_entropy() -> None:
    """Loss against gap for several temperatures; the same without the softmax term, where it falls below 0."""
    gaps = torch.linspace(-6, 9, 500, dtype=torch.float64)
    logits, target = rows_over_gap(gaps)
    figure, both = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for axes, probabilities, title in (
        (both[0], (0.2,) * 5, "SoftSort, P(k) = 1/5 for k = 1 … 5"),
        (both[1], (0.0, 0.0, 0.0, 0.0, 1.0), "SoftSort, P(5) = 1"),
    ):
        for temperature, colour in zip((0.3, 1.0, 2.0, 5.0), COLOURS, strict=True):
            loss = topk_cross_entropy_loss(logits, target, probabilities, temperature=temperature, reduction="none")
            axes.plot(gaps, loss, color=colour, label=f"{temperature:g}")
        axes.axhline(0, color="0.75", linewidth=1, zorder=0)
        axes.set_ylim(-0.5, 8)
        mark(axes, title)
    figure.savefig(ASSETS / "topk_cross_entropy.svg")


def memberships() -> None:
    """Shares of 12 classes in five places, for the three memberships."""
    scores = torch.linspace(3, -3, 12)
    figure, three = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for axes, membership in zip(three, ("logistic", "laplace", "clipped_line"), strict=True):
        for temperature, colour in zip((0.03, 0.3, 1.0, 3.0), COLOURS, strict=True):
            mask = soft_topk_mask(scores, 5, temperature=temperature, membership=membership)
            axes.plot(range(1, 13), mask, marker="o", markersize=3, color=colour, label=f"{temperature:g}")
        axes.set(title=membership, xlabel="rank of the class", xticks=(1, 5, 12))
    three[0].set_ylabel("share in the 5 places")
    three[2].legend(frameon=False, title="temperature")
    figure.savefig(ASSETS / "soft_topk_mask.svg")


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    ASSETS.mkdir(exist_ok=True)
    soft_topk()
    topk_cross_entropy()
    memberships()
