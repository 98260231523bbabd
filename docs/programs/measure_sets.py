"""How many names the network of ``topk-lightning demo`` must show: fitted on halves of the test, and on another vendor.

Run with ``python docs/programs/measure_sets.py --demo runs/demo/best.ckpt`` after ``topk-lightning demo``: some seconds. It prints
two tables, writes them to ``docs/assets/prediction_sets.txt``, and draws ``docs/assets/prediction_sets.svg``.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from rich.console import Console
from torch import Tensor

from topk_lightning import PredictionSets
from topk_lightning.decisions import measure_sets
from topk_lightning.prediction import TrainedModel
from topk_lightning.ranking import topk_indices

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


def halves(logits: Tensor, target: Tensor, method: str, promises: tuple[float, ...]) -> list[tuple[float, float]]:
    """Return coverage and names on average at each promise, over random halves, one to fit on and one to test.

    Each class of each image is scored once; a draw takes its threshold from the sorted scores of its first half.
    """
    rule, own = PredictionSets(method).options.rule(None), target.unsqueeze(1)
    scores = rule.of_classes(logits, logits)
    right, classes = scores.gather(1, own).squeeze(1), scores.sort(1).values
    first = topk_indices(logits, 1).squeeze(1) == target
    drawn = torch.rand(DRAWS, len(target), generator=torch.Generator().manual_seed(0)).argsort(1)
    fit, test = drawn.split(len(target) // 2, 1)[:2]
    ascending, found = right[fit].sort(1).values, []
    for promise in promises:
        cut = ascending[:, math.ceil(round((fit.shape[1] + 1) * promise, 9)) - 1].contiguous()
        fitted = PredictionSets(method, promise).fit(logits[fit[0]], target[fit[0]])
        if fitted.thresholds.common != float(cut[0]):
            raise SystemExit("the threshold of the first draw is not the one of PredictionSets")
        names = torch.searchsorted(classes, cut.expand(len(target), -1).contiguous(), right=True).T.gather(1, test)
        covered = torch.where(names > 0, right[test] <= cut.unsqueeze(1), first[test])  # an empty set: the first guess
        found.append((float(covered.double().mean()), float(names.clamp(min=1).double().mean())))
    return found


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
        cells = halves(test, target, method, PROMISES)
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
    (ASSETS / "prediction_sets.txt").write_text("\n".join(lines), encoding="utf-8")
    Console().print("\n".join(lines), markup=False, soft_wrap=True)
    draw(test, target)


def draw(logits: Tensor, target: Tensor) -> None:
    """Draw the names on average that a coverage takes: prediction sets beside the same number for each image."""
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for method, colour, marker, label in (
        ("rank", ORANGE, "s", "the same k for each image"),
        ("lac", BLUE, "o", "prediction sets"),
    ):
        points = halves(logits, target, method, tuple(promise / 100 for promise in range(60, 96, 5)))
        names, coverage = [names for _, names in points], [share for share, _ in points]
        axes.plot(names, coverage, color=colour, marker=marker, label=label, markersize=4)
    axes.set(xlabel="names shown on average", ylabel="the right one is among them")
    axes.set_xscale("log")
    ticks = (1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(ASSETS / "prediction_sets.svg")


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    main()
