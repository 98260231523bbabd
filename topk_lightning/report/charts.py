"""The figures of a test: accuracy against k, ranks of the true class, calibration."""

from __future__ import annotations

import math
import re
from typing import Any

from topk_lightning.drawing import Bar, Line, Plot, Point, Scale, nice_ticks, number, path_of
from topk_lightning.metrics import ReliabilityCurve
from topk_lightning.metrics.report_values import TopKCurve

__all__ = ["accuracy_plot", "calibration_plot", "rank_plot", "waffle"]

_TENTHS = [(place, f"{place:g}") for place in nice_ticks(0, 1)]
_LAST_RANKS = (10, 50, 500, 5000)


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
        y_ticks=[(y(place), text) for place, text in _TENTHS],
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
            x(place + 0.12),
            y(count / images),
            round(x(0.76) - x(0), 1),
            round(y(0) - y(count / images), 1),
            f"rank {text}: {count:,} of {images:,} images ({count / images:.3f})",
            "first" if place == 0 else "near" if inside else "far",
        )
        for place, (text, count, inside) in enumerate(bins)
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
        x_ticks=[(x(place + 0.5), re.sub("–.*", "+", text)) for place, (text, _, _) in enumerate(bins)],
        y_ticks=[(y(place), f"{place:g}") for place in nice_ticks(0, high * 1.05)],
        bars=bars,
        columns=("rank", "images", "share"),
        rows=[(text, f"{count:,}", number(count / images)) for text, count, _ in bins],
    )


def calibration_plot(curve: ReliabilityCurve, scaled: ReliabilityCurve | None) -> Plot:
    """Return accuracy against confidence, bin by bin, as trained and with the temperature that validation asks for."""
    x, y = Scale.across(0, 1), Scale.upward(0, 1)
    curves = [("as trained", curve), *([("with temperature", scaled)] if scaled is not None else [])]
    lines, points, table = [], [], []
    for style, (label, one) in enumerate(curves):
        columns = (one.edges[:-1], one.edges[1:], one.count, one.confidence, one.accuracy, one.low, one.high)
        bins = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[2]]
        lines.append(Line(label, path_of((x(row[3]), y(row[4])) for row in bins), style))
        points += [
            Point(
                x(mean),
                y(accuracy),
                f"{label}: {count:,} images with confidence {start:.2f} to {end:.2f}, {accuracy:.3f} of them right",
                style,
                y(low) if style == 0 else None,
                y(high) if style == 0 else None,
            )
            for start, end, count, mean, accuracy, low, high in bins
        ]
        table += [
            (label, f"{start:.2f}–{end:.2f}", f"{count:,}", *(number(value) for value in (mean, accuracy, low, high)))
            for start, end, count, mean, accuracy, low, high in bins
        ]
    after = "" if scaled is None else f", {scaled.error:.3f} with the temperature"
    return Plot(
        name="calibration",
        title="Confidence against accuracy",
        summary="Points of the accuracy of images by the confidence of their first guess, with 95 % intervals; on the "
        f"diagonal confidence means what it says. Expected calibration error {curve.error:.3f}{after}.",
        x_label="confidence of the first guess",
        y_label="fraction that was right",
        x_ticks=[(x(place), text) for place, text in _TENTHS],
        y_ticks=[(y(place), text) for place, text in _TENTHS],
        guides=[Line("as it should be", path_of([(x(0), y(0)), (x(1), y(1))]))],
        lines=lines,
        points=points,
        columns=("probabilities", "confidence", "images", "mean confidence", "accuracy", "from", "to"),
        rows=table,
    )


def waffle(first: int, within: int, images: int, k: int) -> dict[str, Any]:
    """Return a hundred images in proportion: right at once, right within k, further behind; rounded to a sum of 100."""
    counts = {"first": first, "near": within - first, "far": images - within}
    exact = {kind: 100 * count / images for kind, count in counts.items()}
    whole = {kind: math.floor(share) for kind, share in exact.items()}
    for kind in sorted(exact, key=lambda kind: whole[kind] - exact[kind])[: 100 - sum(whole.values())]:
        whole[kind] += 1
    labels = {"first": "right at once", "near": f"right at rank 2 to {k}", "far": "further behind"}
    parts = [(kind, whole[kind], labels[kind]) for kind in whole if kind != "near" or k > 1]
    kinds = [kind for kind in whole for _ in range(whole[kind])]
    dots = [(8 + 16 * (place % 10), 8 + 16 * (place // 10), kind) for place, kind in enumerate(kinds)]
    words = ", ".join(f"{count} {label}" for _, count, label in parts)
    return {"dots": dots, "parts": parts, "text": f"Of 100 images: {words}."}


def _whole_ticks(low: int, high: int) -> list[int]:
    return sorted({low, *(int(tick) for tick in nice_ticks(low, high) if math.isclose(tick, round(tick)))})
