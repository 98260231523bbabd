"""Which pictures an expert must see: the piles of a review plan, risk against coverage, accuracy at each share of review."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from topk_lightning.decisions import ReviewOutcome, RiskCoverage
from topk_lightning.drawing import Line, Plot, Point, Scale, nice_ticks, number, path_of
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "risk_plot", "section"]

ORDER = 47

_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: Places of the curve that are drawn and stand in the table of the figure.
_DRAWN, _LISTED = 400, 21


@dataclass(frozen=True)
class Share:
    """How many are right in the end where a person sees a share of the pictures, and of those that no person sees."""

    review: float
    accuracy: float
    accuracy_of_accepted: float
    name: str = field(metadata={"json": False})
    note: str = field(metadata={"json": False})


def section(results: Results) -> Section | None:
    """Return the piles, the curve and the shares of review; None where no image has a confidence."""
    decided = results.decided
    if decided.curve is None:
        return None
    curve, plan, outcome = decided.curve, decided.plan, decided.outcome
    shares = [_share(curve, share) for share in _SHARES]
    if plan is None or outcome is None:
        first = f"If an expert looks at half of the pictures, {shares[5].accuracy:.0%} are right in the end."
        promise = "Without validation images no plan is fitted, and nothing is promised."
    else:
        first, promise = outcome.sentence, plan.promise
    notes = [
        promise,
        f"Sorted by the probability of the first guess, the surest first: the area under the curve (AURC), the mean share "
        f"of errors over all cuts, is {curve.aurc:.3f}; 0 is best, {1 - float(shares[0].accuracy):.3f} is chance. The band "
        "holds the true share of errors at each cut with 95 % confidence, each on its own.",
    ]
    kept = _kept(outcome, plan.target_error) if plan is not None and outcome is not None and plan.among == "all" else ""
    values: dict[str, Any] = {
        "sentence": first,
        "notes": notes,
        "warning": kept,
        "plan": None if plan is None else plan.to_dict(),
        "outcome": None if outcome is None else vars(outcome),
        "aurc": curve.aurc,
        "accuracy_by_review": shares,
        "risk_coverage": _rows(curve),
    }
    data = {"first": first, "notes": notes, "warning": kept, "shares": shares, "chart": risk_plot(curve)}
    return Section("What an expert must see", {**data, "piles": _piles(outcome)}, values)


def _piles(outcome: ReviewOutcome | None) -> list[tuple[str, float, str, str]]:
    """Return name, share, remark and kind of each pile."""
    if outcome is None:
        return []
    count = outcome.images
    return [
        (
            "accepted",
            outcome.accepted / count,
            f"{outcome.accepted:,} pictures, {outcome.wrong:,} of them wrong",
            "first",
        ),
        ("a list", outcome.listed / count, f"{outcome.listed:,} pictures, {outcome.missed:,} without the name", "near"),
        ("an expert", outcome.person / count, f"{outcome.person:,} pictures", "far"),
    ]


def _kept(outcome: ReviewOutcome, target: float) -> str:
    """Say so where the test breaks the promise beyond chance."""
    low, _ = outcome.error_interval()
    if low <= target:
        return ""
    return (
        f"{outcome.error:.1%} of these pictures are accepted and wrong, more than the {target:g} that were promised: they are "
        "of another kind than the validation images, for which alone the promise holds."
    )


def _share(curve: RiskCoverage, review: float) -> Share:
    accuracy, left = curve.accuracy(review), curve.accuracy_of_accepted(review)
    note = f"{left:.3f} of those that no expert sees" if review else "the classifier alone"
    return Share(review, accuracy, left, f"an expert sees {review:.0%}", note)


def _rows(curve: RiskCoverage, most: int = _LISTED) -> list[dict[str, float]]:
    columns = {"coverage": curve.coverage, "risk": curve.risk, "low": curve.low, "high": curve.high}
    columns["confidence"] = curve.confidence
    points = _places(len(curve.confidence), most)
    return [{name: float(values[point]) for name, values in columns.items()} for point in points]


def _places(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(number * (count - 1) / (most - 1)) for number in range(most)})


def risk_plot(curve: RiskCoverage) -> Plot:
    """Return the share of errors among the surest images against how many these are, with its band."""
    rows = _rows(curve, _DRAWN)
    # The first few images have bands from 0 to 1, which say nothing.
    high = min(1.0, 1.15 * max(row["high"] for row in rows if row["coverage"] >= 0.05 or row is rows[-1]))
    x, y = Scale.across(0, 1), Scale.upward(0, high)
    upper = [(x(row["coverage"]), y(min(row["high"], high))) for row in rows]
    lower = [(x(row["coverage"]), y(min(row["low"], high))) for row in reversed(rows)]
    line = path_of((x(row["coverage"]), y(min(row["risk"], high))) for row in rows)
    marked = [_nearest(rows, share) for share in (0.25, 0.5, 0.75, 1.0)]
    return Plot(
        name="risk",
        title="Errors among the surest pictures",
        summary=f"A curve of the share of errors among the surest pictures, from {rows[0]['risk']:.3f} at the left to "
        f"{rows[-1]['risk']:.3f} of all, inside a band of 95 % intervals; the area under it is {curve.aurc:.3f}.",
        x_label="share of pictures that no expert sees",
        y_label="share of these that are wrong",
        x_ticks=[(x(tick), f"{tick:g}") for tick in nice_ticks(0, 1)],
        y_ticks=[(y(tick), f"{tick:g}") for tick in nice_ticks(0, high)],
        areas=[path_of([*upper, *lower], closed=True)],
        lines=[Line("errors with 95 % band", line)],
        points=[
            Point(
                x(row["coverage"]),
                y(min(row["risk"], high)),
                f"of the surest {row['coverage']:.2f}, {row['risk']:.3f} are wrong; confidence from {row['confidence']:.3f} on",
            )
            for row in marked
        ],
        columns=("share of pictures", "wrong", "from", "to", "confidence"),
        rows=[tuple(number(value) for value in row.values()) for row in _rows(curve)],
    )


def _nearest(rows: list[dict[str, float]], coverage: float) -> dict[str, float]:
    return min(rows, key=lambda row: abs(row["coverage"] - coverage))
