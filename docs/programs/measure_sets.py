"""How many names the network of ``topk-lightning demo`` must show: fitted on halves of the test, and on another vendor.

Run with ``python docs/programs/measure_sets.py --demo runs/demo/best.ckpt`` after ``topk-lightning demo``: some seconds. It prints
two tables, writes them to ``docs/assets/prediction_sets.txt``, and draws ``docs/assets/prediction_sets.svg``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from rich.console import Console
from torch import Tensor

from topk_lightning import PredictionSets
from topk_lightning.decisions import measure_sets
from topk_lightning.prediction import TrainedModel

ASSETS = Path(__file__).parents[1] / "assets"
DRAWS = 1000
PROMISES = (0.8, 0.9, 0.95)
BLUE, ORANGE = "#0072B2", "#D55E00"


def scores_of(checkpoint: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return logits and targets of the validation and the test drawings."""
    from topk_lightning.cli._demo_recipe import demo_data

    model, data = TrainedModel.load(checkpoint), demo_data(None, 0)
    data.setup("test")
    data.setup("fit")
    found = {}
    with model.evaluating(), torch.inference_mode():
        for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
            batches = [(model.logits(images).cpu(), target) for images, target in loader]
            found[split] = torch.cat([logits for logits, _ in batches]), torch.cat([target for _, target in batches])
    return found


def halves(logits: Tensor, target: Tensor, method: str, promise: float) -> tuple[float, float]:
    """Return coverage and names on average over random halves, one to fit on and one to test."""
    sets, generator = PredictionSets(method, promise), torch.Generator().manual_seed(0)
    rule = sets.options.rule(None)
    scores = rule.of_classes(logits, logits)
    first = torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).bool()
    coverage, names, half = 0.0, 0.0, len(target) // 2
    for _ in range(DRAWS):
        order = torch.randperm(len(target), generator=generator)
        fit, test = order[:half], order[half : 2 * half]
        cut = sets.fit(logits[fit], target[fit]).thresholds.common
        mask = scores[test] <= cut
        mask = torch.where(mask.any(1, keepdim=True), mask, first[test])
        coverage += float(mask.gather(1, target[test].unsqueeze(1)).double().mean()) / DRAWS
        names += float(mask.sum(1).double().mean()) / DRAWS
    return coverage, names


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--demo", type=Path, default=Path("runs/demo/best.ckpt"), help="checkpoint of the demonstration"
    )
    scores = scores_of(parser.parse_args().demo)
    (val, val_target), (test, target) = scores["val"], scores["test"]
    lines = ["| fitted on half of the test | " + " | ".join(f"{100 * p:g} %: coverage, names" for p in PROMISES) + " |"]
    lines.append("|---|" + "---:|" * len(PROMISES))
    for method in ("lac", "aps", "raps", "rank"):
        cells = [halves(test, target, method, promise) for promise in PROMISES]
        lines.append(f"| {method} | " + " | ".join(f"{share:.3f}, {names:.1f}" for share, names in cells) + " |")
    lines += [
        "",
        "| fitted on another vendor (lac) | coverage on the test | names on average | at most 5 |",
        "|---|---:|---:|---:|",
    ]
    fitted = PredictionSets("lac").fit(val, val_target)
    outcomes = [measure_sets(fitted.at(promise), test, target) for promise in PROMISES]
    for outcome in outcomes:
        found = outcome.summary
        cells = f"{found.coverage:.3f} | {found.mean_size:.1f} | {100 * found.at_most(5):.0f} %"
        lines.append(f"| {100 * outcome.promise:g} % | {cells} |")
    lines += ["", f"{DRAWS:,} draws of halves; {len(target)} drawings each of validation and test, seed 0.", ""]
    (ASSETS / "prediction_sets.txt").write_text("\n".join(lines))
    Console().print("\n".join(lines), markup=False, soft_wrap=True)
    draw(test, target)


def draw(logits: Tensor, target: Tensor) -> None:
    """Draw the names on average that a coverage takes: prediction sets beside the same number for each image."""
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for method, colour, marker, label in (
        ("rank", ORANGE, "s", "the same k for each image"),
        ("lac", BLUE, "o", "prediction sets"),
    ):
        points = [halves(logits, target, method, promise / 100) for promise in range(60, 96, 5)]
        names, coverage = [names for _, names in points], [share for share, _ in points]
        axes.plot(names, coverage, color=colour, marker=marker, label=label, markersize=4)
    axes.set(xlabel="names shown on average", ylabel="the right one is among them")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(ASSETS / "prediction_sets.svg")


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    main()
