"""Decisions from the scores of the network of ``topk-lightning demo``: review, the sure level, possible classes, suspect labels.

Run with ``python docs/programs/measure_decisions.py --demo runs/demo/best.ckpt`` after ``topk-lightning demo``: some seconds. It
prints what the pages say, writes it to ``docs/assets/decisions.txt``, and draws ``review.svg``, ``sure_level.svg``,
``possible_classes.svg`` and ``suspect_labels.svg`` there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib import pyplot as plt
from measure_sets import scores_of
from rich.console import Console
from torch import Tensor

from topk_lightning.cli._demo_recipe import demo_data
from topk_lightning.decisions import (
    ClassList,
    LevelMeter,
    review_plan,
    risk_coverage,
    roll_up,
    roll_up_on_halves,
    suspect_labels,
)
from topk_lightning.ranking import target_rank

ASSETS = Path(__file__).parents[1] / "assets"
DRAWS, SEEDS = 1000, 40
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8b9099"

Images = tuple[Tensor, Tensor]


def review(val: Images, test: Images) -> list[str]:
    """Return what a plan comes to on halves of the test and fitted on validation drawings; draw risk against coverage."""
    lines = []
    for error in (0.05, 0.1):
        generator, shares, wrong = torch.Generator().manual_seed(0), [], []
        for _ in range(DRAWS):
            order = torch.randperm(len(test[1]), generator=generator)
            first, second = (tuple(part[rows] for part in test) for rows in order.tensor_split([len(order) // 2]))
            outcome = review_plan(*first, target_error=error).outcome(*second)
            shares.append(
                [outcome.accepted / outcome.images, outcome.listed / outcome.images, outcome.person / outcome.images]
            )
            wrong.append(outcome.error)
        accepted, listed, person = torch.tensor(shares).mean(0).tolist()
        lines.append(
            f"review, halves, {error:g}: accepted {accepted:.3f}, on a list {listed:.3f}, an expert {person:.3f}; accepted and "
            f"wrong {torch.tensor(wrong).mean():.4f} of all"
        )
    plan, curve = review_plan(*val), risk_coverage(*test)
    outcome = plan.outcome(*test)
    lines.append(
        f"review, fitted on validation drawings: {outcome.sentence} {outcome.wrong} of {outcome.images} accepted and wrong"
    )
    lines.append(f"AURC: test {curve.aurc:.3f}, validation {risk_coverage(*val).aurc:.3f}")
    lines.append(
        "right in the end: "
        + ", ".join(f"{share / 10:.0%} {curve.accuracy(share / 10):.3f}" for share in range(0, 11, 2))
    )
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    axes.fill_between(curve.coverage, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0, label="95 % band")
    axes.plot(curve.coverage, curve.risk, color=BLUE, label="errors among the surest")
    axes.axvline(
        outcome.accepted / outcome.images, color=ORANGE, linestyle="--", label="accepted by the plan (5 % of all)"
    )
    axes.set(
        xlabel="share of pictures that no expert sees",
        ylabel="share of these that are wrong",
        ylim=(0, 0.55),
        xlim=(0, 1),
    )
    figure.legend(frameon=False, ncols=3, fontsize=8.5, loc="outside upper center")
    figure.savefig(ASSETS / "review.svg")
    return lines


def sure_level(val: Images, test: Images, data: Any) -> list[str]:
    """Return what both fits of the sure level come to; draw at which levels they answer."""
    meters = [LevelMeter(data.fine_to_coarse, data.class_names) for _ in range(2)]
    for meter, images in zip(meters, (val, test), strict=True):
        meter.update(*images)
    halves = roll_up_on_halves(meters[1], draws=DRAWS)
    lines = [
        f"sure level, halves, 0.1: answered {halves.answered:.3f}, right {halves.right:.3f}, wrong {halves.error:.3f} of all"
    ]
    sure = roll_up(meters[0])
    outcome = sure.outcome(meters[1])
    lines.append(
        f"sure level, fitted on validation drawings, 0.1: threshold {sure.threshold:.3f}, answered {outcome.share:.3f}, right "
        f"{outcome.accuracy:.3f}; wrong answers right one level up, two levels up, at none: {outcome.near}"
    )
    top1 = float((target_rank(*test) == 0).double().mean())
    bars = [("first guess alone", [(top1, "class")], 1 - top1)]
    for name, fit in (
        ("fitted on validation", sure),
        ("fitted on the test itself, which flatters", roll_up(meters[1])),
    ):
        said = fit.outcome(meters[1])
        parts = [(level.right / said.images, level.level) for level in said.by_level]
        bars.append((name, parts, said.error))
    figure, axes = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
    colours = {"class": GREEN, "subcategory": "#56B4E9", "category": BLUE}
    for place, (_, parts, wrong) in enumerate(bars):
        left = 0.0
        for share, level in parts:
            axes.barh(place, share, left=left, color=colours[level], label=level if place == 1 else None)
            left += share
        axes.barh(place, wrong, left=left, color=ORANGE, label="wrong" if place == 1 else None)
        axes.text(left + wrong + 0.01, place, f"{left / (left + wrong):.0%} right", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars])
    axes.set(xlabel="share of the test drawings", xlim=(0, 1.16))
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.invert_yaxis()
    figure.legend(frameon=False, ncols=4, loc="outside upper center")
    figure.savefig(ASSETS / "sure_level.svg")
    return lines


def possible_classes(test: Images, data: Any) -> list[str]:
    """Return how often the first guess is right among all classes and among those of one category alone; draw both."""
    names, groups = data.coarse_names["category"], torch.tensor(data.fine_to_coarse["category"])
    rows = []
    for index, name in enumerate(names):
        own = groups[test[1]] == index
        classes = ClassList.of(
            [data.class_names[c] for c in (groups == index).nonzero().flatten().tolist()], data.class_names
        )
        among = (target_rank(test[0][own], test[1][own]) == 0).double().mean()
        alone = (target_rank(classes.logits(test[0][own]), classes.target(test[1][own])) == 0).double().mean()
        rows.append((name, int(own.sum()), float(among), float(alone)))
    total = sum(images for _, images, *_ in rows)
    among, alone = (sum(row[1] * row[place] for row in rows) / total for place in (2, 3))
    lines = [
        f"possible classes, {name} ({images} classes): {a:.3f} among all, {b:.3f} alone" for name, images, a, b in rows
    ]
    lines.append(f"possible classes, all drawings, each among its category: {among:.3f} among all, {alone:.3f} alone")
    rows.sort(key=lambda row: row[3] - row[2])
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for place, (_, _, first, second) in enumerate(rows):
        axes.plot([first, second], [place, place], color=GREY, zorder=1)
    axes.scatter([row[2] for row in rows], range(len(rows)), color=GREY, label="all 462 possible", zorder=2)
    axes.scatter([row[3] for row in rows], range(len(rows)), color=BLUE, label="this category alone", zorder=2)
    axes.set_yticks(range(len(rows)), [f"{name} ({images})" for name, images, *_ in rows])
    axes.set(xlabel="first guess right", xlim=(0.3, 0.9))
    figure.legend(frameon=False, ncols=2, loc="outside upper center")
    figure.savefig(ASSETS / "possible_classes.svg")
    return lines


def suspects(val: Images, test: Images) -> list[str]:
    """Return how many of a tenth of shuffled labels are found; draw the precision along the list."""
    logits, truth = (torch.cat(parts) for parts in zip(val, test, strict=True))
    count, curves, lines = round(0.1 * len(truth)), [], []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        wrong = torch.zeros(len(truth), dtype=torch.bool)
        wrong[torch.randperm(len(truth), generator=generator)[:count]] = True
        given = truth.clone()
        moved = truth[wrong] + torch.randint(1, logits.shape[1], (count,), generator=generator)
        given[wrong] = moved % logits.shape[1]
        found = wrong[suspect_labels(logits, given).index].double()
        curves.append(found.cumsum(0)[: 2 * count] / torch.arange(1, 2 * count + 1))
    mean, spread = torch.stack(curves).mean(0), torch.stack(curves)[:, count - 1].std()
    lines.append(
        f"suspect labels, {count} of {len(truth)} shuffled, mean of {SEEDS} seeds: precision "
        f"{mean[count - 1]:.3f} at their number (± {spread:.3f}, one draw), {mean[count // 2 - 1]:.3f} in the first half of the list"
    )
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.plot(range(1, 2 * count + 1), mean, color=BLUE, label=f"mean of {SEEDS} seeds")
    axes.axvline(count, color=GREY, linestyle=":", label="number of wrong labels")
    axes.axhline(count / len(truth), color=ORANGE, linestyle="--", label="drawn by chance")
    axes.set(xlabel="labels that a person has looked at", ylabel="of these wrong", ylim=(0, 1.02), xlim=(0, 2 * count))
    figure.legend(frameon=False, ncols=3, fontsize=8.5, loc="outside upper center")
    figure.savefig(ASSETS / "suspect_labels.svg")
    return lines


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--demo", type=Path, default=Path("runs/demo/best.ckpt"), help="checkpoint of the demonstration"
    )
    scores, data = scores_of(parser.parse_args().demo), demo_data(None, 0)
    data.setup("test")
    val, test = scores["val"], scores["test"]
    lines = [*review(val, test), *sure_level(val, test, data), *possible_classes(test, data), *suspects(val, test)]
    (ASSETS / "decisions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Console().print("\n".join(lines), markup=False, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    main()
