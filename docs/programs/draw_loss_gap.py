"""Draw each loss against the gap between the target and its fifth competitor, for several temperatures.

Run with ``python docs/programs/draw_loss_gap.py``; it writes ``docs/assets/*.svg``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from torch import Tensor

from topk_lightning import losses

ASSETS = Path(__file__).parents[1] / "assets"
COLOURS = ("#1b3a6b", "#3274b5", "#e08a1e", "#b5382a")
GAPS = torch.linspace(-6, 6, 601, dtype=torch.float64)


def rows_over_gap() -> tuple[Tensor, Tensor]:
    """Return logits of 20 classes and the target: four strong competitors, the fifth at 0, then a falling tail."""
    competitors = torch.cat([torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]), -torch.arange(1.0, 15.0) / 3])
    return torch.cat([GAPS.unsqueeze(1), competitors.expand(len(GAPS), -1)], 1), torch.zeros(len(GAPS)).long()


def draw(axes: Axes, title: str, values: Sequence[float], loss: Callable[[float], Tensor], legend: str) -> None:
    """Draw a loss for several values of one option, and mark where the target enters the top 5."""
    axes.axvline(0, color="0.75", linewidth=1, zorder=0)
    for value, colour in zip(values, COLOURS, strict=False):
        axes.plot(GAPS, loss(value).detach(), color=colour, label=f"{value:g}")
    axes.set(title=title, xlabel="$s_y$ − fifth largest competitor", ylabel="loss")
    axes.set_ylim(top=1.4 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, title=legend, loc="upper right")


def main() -> None:
    """Draw the figures."""
    logits, target = rows_over_gap()
    generator = torch.Generator()
    each = {"reduction": "none"}

    def single(name: str, *arguments: object) -> None:
        figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
        draw(axes, *arguments)  # type: ignore[arg-type]
        figure.savefig(ASSETS / f"{name}.svg")

    single(
        "smooth_topk_svm",
        "smooth top-5 SVM, margin 1",
        (0.01, 0.3, 1.0, 3.0),
        lambda t: losses.smooth_topk_svm_loss(logits, target, temperature=t, **each),
        "temperature",
    )
    single(
        "truncated_topk_entropy",
        "truncated top-5 entropy",
        (0.1, 0.5, 1.0, 2.0),
        lambda t: losses.truncated_topk_entropy_loss(logits, target, temperature=t, **each),
        "temperature",
    )
    single(
        "grouped_topk_cross_entropy",
        "grouped top-k cross entropy",
        (1, 2, 5),
        lambda k: losses.grouped_topk_cross_entropy_loss(logits, target, int(k), **each),
        "k",
    )
    single(
        "topk_hinge",
        "noised top-5 hinge (noise 0: calibrated)",
        (0.0, 0.5, 1.0, 3.0),
        lambda noise: losses.noised_topk_hinge_loss(
            logits, target, noise=noise, num_samples=3000, generator=generator.manual_seed(0), **each
        ),
        "noise",
    )
    figure, three = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    for axes, scale in zip(three, ("none", "T", "T2"), strict=True):
        draw(
            axes,
            f'scale_loss="{scale}"',
            (0.25, 0.5, 1.0, 2.0),
            lambda t, scale=scale: losses.temperature_cross_entropy_loss(  # type: ignore[misc]
                logits, target, temperature=t, scale_loss=scale, **each
            ),
            "temperature",
        )
        axes.set_ylim(-0.5, 25)
    figure.savefig(ASSETS / "temperature_cross_entropy.svg")


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    ASSETS.mkdir(exist_ok=True)
    main()
