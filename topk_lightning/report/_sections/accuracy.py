"""Accuracy at each k, with intervals, and the ranks of the true class."""

from __future__ import annotations

import math
import re
from typing import Any

from topk_lightning.drawing import Bar, Line, Plot, Point, Scale, nice_ticks, number, path_of
from topk_lightning.metrics import TopKCurve
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "accuracy_plot", "rank_plot", "section"]

ORDER = 20

#: Guesses that the curve of accuracy shows.
_CURVE = 20
_LAST_RANKS = (10, 50, 500, 5000)


def section(results: Results) -> Section:
    """Return the accuracies, the means over classes, the curve of accuracy against k and the histogram of ranks."""
    report, classes = results.report, len(results.class_names)
    histogram = report.rank_histogram().tolist()
    curve = report.accuracy_curve(min(classes, max(_CURVE, 2 * results.k)))
    data: dict[str, Any] = {
        "note": _labels_note(results),
        "tiles": _tiles(results),
        "means": _means(results),
        "accuracy": accuracy_plot(curve, classes, report.k),
        "accuracy_note": "The band holds the true accuracy at each k with 95 % confidence."
        + _needed(histogram, results.images, classes),
        "ranks": rank_plot(histogram, results.k),
        "ranks_note": _ranks_note(histogram, results.images, results.k),
    }
    values = {
        "topk": [{name: tile[name] for name in ("k", "accuracy", "low", "high", "chance")} for tile in data["tiles"]],
        "macro_recall": results.values["macro_recall"],
        "macro_f1": results.values["macro_f1"],
        "loss": _loss(results),
        "calibration_error": results.calibration.error,
        "curve": [dict(zip(curve._fields, row, strict=True)) for row in zip(*(c.tolist() for c in curve), strict=True)],
        "rank_histogram": histogram[:-1],
        "nan_scores": histogram[-1],
        "notes": [data[name] for name in ("note", "accuracy_note", "ranks_note") if data[name]],
    }
    return Section("Accuracy", data, values)


def _tiles(results: Results) -> list[dict[str, Any]]:
    curve = (part.tolist() for part in results.report.accuracy_curve(max(results.report.k)))
    by_k = {k: interval for k, *interval in zip(*curve, strict=True)}
    chances = {k: k / len(results.class_names) for k in results.report.k}
    return [
        {
            "k": k,
            "name": f"top-{k}",
            **dict(zip(("accuracy", "low", "high"), by_k[k], strict=True)),
            "chance": chance,
            "note": f"chance {chance:.3f}",
        }
        for k, chance in chances.items()
    ]


def _means(results: Results) -> list[dict[str, float | str]]:
    means = (
        ("mean recall", float(results.values["macro_recall"]), "each class counts the same"),
        ("mean F1", float(results.values["macro_f1"]), "precision and recall, each class the same"),
        ("loss", _loss(results), "mean −log probability of the true class"),
        ("calibration error", results.calibration.error, "mean gap of confidence and accuracy"),
    )
    return [{"name": name, "value": value, "note": note} for name, value, note in means]


def _loss(results: Results) -> float:
    return float(results.evaluation.loss[~results.evaluation.broken].double().mean())


def _labels_note(results: Results) -> str:
    """Say what it means that images have several accepted labels, and how many have none."""
    outside = results.evaluation.outside
    sentences = []
    if several := outside.several_labels:
        sentences.append(
            f"{several:,} {'image has' if several == 1 else 'images have'} several accepted labels, of which any is right: "
            "in what is counted by class, an image belongs to the accepted label that its scores put first."
        )
    if without := outside.without_label:
        sentences.append(
            f"{without:,} {'image has no accepted label and is' if without == 1 else 'images have no accepted label and are'}"
            " left out."
        )
    return " ".join(sentences)


def _needed(histogram: list[int], images: int, classes: int) -> str:
    """Say how many guesses hold the right class of 95 in 100 images."""
    reached = 0
    for rank, count in enumerate(histogram[:-1]):
        reached += count
        if reached >= 0.95 * images:
            return f" To find the right class for 95 of 100 images, {rank + 1:,} of the {classes:,} guesses are needed."
    return ""


def _ranks_note(histogram: list[int], images: int, k: int) -> str:
    near = f", blue nearly right (rank 2 to {k})" if k > 1 else ""
    return (
        f"Green is right at once{near}; for {images - sum(histogram[:k]):,} images the class stands further behind. Few of "
        "these mean that near classes are confused, many that something was not learned."
    )


def accuracy_plot(curve: TopKCurve, num_classes: int, marked: tuple[int, ...]) -> Plot:
    """Return the accuracy at each k with its 95 % band, and chance, k/C; `marked` k get a point."""
    rows = list(zip(*(values.tolist() for values in curve), strict=True))
    last = len(rows)
    x, y = Scale.across(1, max(2, last)), Scale.upward(0, 1)
    band = [(x(k), y(low)) for k, _, low, _ in rows] + [(x(k), y(high)) for k, _, _, high in reversed(rows)]
    ends = [(k, f"{accuracy:.3f}") for k, accuracy, _, _ in (rows[0], rows[-1])]
    return Plot(
        name="accuracy",
        title="How often the right class is among the first k",
        summary=f"A curve that rises from {ends[0][1]} at k = 1 to {ends[1][1]} at k = {ends[1][0]}, inside a band of "
        f"95 % intervals; chance, k/{num_classes}, reaches {last / num_classes:.3f} at k = {last}.",
        x_label="k, guesses looked at",
        y_label="accuracy",
        x_ticks=[(x(k), f"{k:g}") for k in _whole_ticks(1, last)],
        y_ticks=[(y(height), f"{height:g}") for height in nice_ticks(0, 1)],
        areas=[path_of(band, closed=True)],
        lines=[Line("accuracy with 95 % band", path_of((x(k), y(accuracy)) for k, accuracy, _, _ in rows))],
        guides=[Line("chance", path_of((x(k), y(k / num_classes)) for k in (1, max(2, last))))],
        points=[
            Point(x(k), y(accuracy), f"top-{k}: {accuracy:.3f}, 95 % interval {low:.3f} to {high:.3f}")
            for k, accuracy, low, high in rows
            if k in marked
        ],
        columns=("k", "accuracy", "from", "to", "chance"),
        rows=[
            (str(k), *(number(value) for value in (accuracy, low, high, k / num_classes)))
            for k, accuracy, low, high in rows
        ],
    )


def rank_plot(histogram: list[int], k: int) -> Plot:
    """Return how many images have their true class at rank 1, 2, …, later ranks together; the last entry is NaN scores."""
    ranks, images = histogram[:-1], sum(histogram)
    bins = [(str(rank + 1), ranks[rank], rank < k) for rank in range(min(5, len(ranks)))]
    first = len(bins)
    for last in (*_LAST_RANKS, len(ranks)):
        if first >= len(ranks):
            break
        last = min(last, len(ranks))
        bins.append((str(last) if last == first + 1 else f"{first + 1}–{last}", sum(ranks[first:last]), last <= k))
        first = last
    if histogram[-1]:
        bins.append(("NaN", histogram[-1], False))
    high = max(count for _, count, _ in bins) / images
    x, y = Scale.across(0, len(bins)), Scale.upward(0, high * 1.05)
    bars = [
        Bar(
            x(height + 0.12),
            y(count / images),
            round(x(0.76) - x(0), 1),
            round(y(0) - y(count / images), 1),
            f"rank {text}: {count:,} of {images:,} images ({count / images:.3f})",
            "first" if height == 0 else "near" if inside else "far",
        )
        for height, (text, count, inside) in enumerate(bins)
    ]
    within = sum(ranks[:k]) - ranks[0]
    return Plot(
        name="ranks",
        title="Where the right class stands",
        summary=f"Bars of the share of images by the rank of their true class: {ranks[0]:,} of {images:,} images at rank "
        f"1, {within:,} at ranks 2 to {k}, {images - ranks[0] - within:,} further behind.",
        x_label="rank of the true class",
        y_label="share of images",
        # "6+" is short enough to be read on a phone; the words over a bar and the table say where it ends.
        x_ticks=[(x(height + 0.5), re.sub("–.*", "+", text)) for height, (text, _, _) in enumerate(bins)],
        y_ticks=[(y(height), f"{height:g}") for height in nice_ticks(0, high * 1.05)],
        bars=bars,
        columns=("rank", "images", "share"),
        rows=[(text, f"{count:,}", number(count / images)) for text, count, _ in bins],
    )


def _whole_ticks(low: int, high: int) -> list[int]:
    return sorted({low, *(int(tick) for tick in nice_ticks(low, high) if math.isclose(tick, round(tick)))})
