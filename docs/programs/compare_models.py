"""Two networks of ``topk-lightning demo`` on its 462 test drawings, what float16 changes, and how often equal models are called different.

Run with ``python docs/programs/compare_models.py --run runs/demo`` after ``topk-lightning demo``: some seconds. It prints the
numbers of docs/comparing.md and docs/stored_scores.md, writes them to ``docs/assets/comparing.txt``, and draws
``docs/assets/comparing.svg`` and ``docs/assets/stored_scores.svg``.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from rich.console import Console

from topk_lightning import Scores, TrainedModel
from topk_lightning.decisions import calibrate_scores, compare_scores, mcnemar
from topk_lightning.report import score_images

ASSETS = Path(__file__).parents[1] / "assets"
BLUE, ORANGE = "#0072B2", "#D55E00"
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def error_rates(images: float, level: float = 0.05) -> tuple[float, float]:
    """Return how often equal models are called different, exact and mid-p, where so many discordant images are expected of 1,000."""
    rates = [0.0, 0.0]
    for discordant in range(int(4 * images) + 20):
        chance = math.exp(_log_binomial(1000, discordant, images / 1000))
        for won in range(discordant + 1):
            both = chance * math.exp(_log_binomial(discordant, won, 0.5))
            for kind, p in enumerate(mcnemar(won, discordant - won)):
                rates[kind] += both * (p <= level)
    return rates[0], rates[1]


def _log_binomial(n: int, k: int, p: float) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)


def changed(scores: Scores, dtype: torch.dtype) -> float:
    """Return the share of images whose class has another rank in another dtype."""
    other = Scores(scores.values.to(dtype), scores.target, kind="logits")
    return float((other.target_ranks() != scores.target_ranks()).double().mean())


def draw_rates(path: Path) -> None:
    """Draw both rates against the expected number of discordant images."""
    expected = (2, 3, 5, 7, 10, 15, 20, 30, 45, 70)
    rates = [error_rates(number) for number in expected]
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    axes.axhline(5, color="#777777", lw=1, ls=":")
    for name, kind, colour, marker in (("mid-p", 1, BLUE, "o"), ("exact", 0, ORANGE, "s")):
        axes.plot(expected, [100 * rate[kind] for rate in rates], color=colour, marker=marker, ms=4)
        axes.annotate(name, (expected[-1], 100 * rates[-1][kind]), (6, -3), textcoords="offset points", color=colour)
    axes.set(xscale="log", xlim=(1.8, 100), ylim=(0, 6), xlabel="images on which only one of two equal models is right")
    axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"], minor=False)
    axes.minorticks_off()
    axes.set_ylabel("called different, in 100 tests")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def draw_dtypes(path: Path) -> list[tuple[int, float, float]]:
    """Draw the share of images whose class has another rank against the number of classes; normal logits, 2,000 images."""
    rows = []
    for classes in (10, 30, 100, 300, 1000, 3000):
        logits = 3 * torch.randn(2000, classes, generator=torch.Generator().manual_seed(classes))
        target = torch.multinomial(logits.softmax(1), 1, generator=torch.Generator().manual_seed(1)).squeeze(1)
        scores = Scores(logits, target, kind="logits")
        rows.append((classes, changed(scores, torch.float16), changed(scores, torch.bfloat16)))
    figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for kind, (name, colour) in enumerate((("float16", BLUE), ("bfloat16", ORANGE)), 1):
        axes.plot([row[0] for row in rows], [100 * row[kind] for row in rows], color=colour, marker="o", ms=4)
        axes.annotate(name, (rows[-1][0], 100 * rows[-1][kind]), (6, -3), textcoords="offset points", color=colour)
    axes.set(xscale="log", xlim=(8, 6000), ylim=(0, None), xlabel="classes", ylabel="% of images with another rank")
    axes.set_xticks([10, 100, 1000], ["10", "100", "1,000"])
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    return rows


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="folder that topk-lightning demo wrote")
    run = parser.parse_args().run
    from topk_lightning.cli._demo_recipe import demo_data

    data, lines = demo_data(None, 0), []
    models = [TrainedModel.load(run / name) for name in ("last.ckpt", "best.ckpt")]
    last, best = (score_images(model, data) for model in models)
    found = compare_scores(last, best, margin=0.02)
    lines += ["last.ckpt and best.ckpt of the demo, 462 test drawings, seed 0"]
    lines += [f"top-{k}: {one}" for k, one in found.by_k.items()]
    if found.calibration is not None and found.sizes is not None:
        lines.append(f"calibration error {found.calibration[0].error:.3f} and {found.calibration[1].error:.3f}")
        lines.append(
            f"names for 90 %: {found.sizes.mean[0]:.1f} and {found.sizes.mean[1]:.1f}, difference {found.sizes.difference:+.1f} ({found.sizes.low:+.1f} to {found.sizes.high:+.1f})"
        )
    fitted = calibrate_scores(score_images(models[1], data, "val"), best)
    lines.append(
        f"best.ckpt: temperature {fitted.temperature:.3f} ({fitted.low:.3f} to {fitted.high:.3f}), error {fitted.before.error:.3f} before, {fitted.after.error:.3f} after. {fitted.sentence}"
    )
    for name, dtype in DTYPES.items():
        lines.append(f"best.ckpt in {name}: {changed(best, dtype):.2%} of the images have another rank")
    matplotlib.rcParams.update({"svg.hashsalt": "topk-lightning", "font.size": 10})
    draw_rates(ASSETS / "comparing.svg")
    for classes, *shares in draw_dtypes(ASSETS / "stored_scores.svg"):
        lines.append(f"normal logits of {classes:,} classes: {shares[0]:.2%} in float16, {shares[1]:.2%} in bfloat16")
    text = "\n".join(lines)
    (ASSETS / "comparing.txt").write_text(text + "\n", encoding="utf-8")
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


if __name__ == "__main__":
    main()
