"""The reliability diagram of one classifier, or of two in one figure."""

from __future__ import annotations

from topk_lightning.drawing import Line, Plot, Point, Scale, nice_ticks, number, path_of
from topk_lightning.metrics import ReliabilityCurve

__all__ = ["calibration_plot"]

_TENTHS = [(tick, f"{tick:g}") for tick in nice_ticks(0, 1)]


def calibration_plot(
    curve: ReliabilityCurve,
    scaled: ReliabilityCurve | None,
    labels: tuple[str, str] = ("as trained", "with temperature"),
) -> Plot:
    """Return accuracy against confidence, bin by bin, of one classifier, or of two by their labels."""
    x, y = Scale.across(0, 1), Scale.upward(0, 1)
    curves = [(labels[0], curve), *([(labels[1], scaled)] if scaled is not None else [])]
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
    after = "" if scaled is None else f" {labels[0]}, {scaled.error:.3f} {labels[1]}"
    return Plot(
        name="calibration",
        title="Confidence against accuracy",
        summary="Points of the accuracy of images by the confidence of their first guess, with 95 % intervals; on the "
        f"diagonal confidence means what it says. Expected calibration error {curve.error:.3f}{after}.",
        x_label="confidence of the first guess",
        y_label="fraction that was right",
        x_ticks=[(x(tick), text) for tick, text in _TENTHS],
        y_ticks=[(y(tick), text) for tick, text in _TENTHS],
        guides=[Line("as it should be", path_of([(x(0), y(0)), (x(1), y(1))]))],
        lines=lines,
        points=points,
        columns=("probabilities", "confidence", "images", "mean confidence", "accuracy", "from", "to"),
        rows=table,
    )
