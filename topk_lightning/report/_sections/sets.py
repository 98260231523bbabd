"""How many names must be shown so that the right one is among them: the promise beside the test."""

from __future__ import annotations

from dataclasses import dataclass, field

from topk_lightning.decisions import SetOutcome
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 45


@dataclass(frozen=True)
class Row:
    """A promise, what came out, and how many names that took; shares and numbers of names."""

    promise: float
    coverage: float
    low: float
    high: float
    names: float
    median: float
    at_most_5: float
    kept: bool
    name: str = field(metadata={"json": False})
    note: str = field(metadata={"json": False})


def section(results: Results) -> Section | None:
    """Return promises and sizes of prediction sets; None without sets or validation images."""
    if not results.sets:
        return None
    main = min(results.sets, key=lambda outcome: abs(outcome.promise - 0.9))
    empty = f" {main.filled:,} images with an empty set were shown the first guess." if main.filled else ""
    notes = [
        main.sentence,
        f"Sets of names fitted on {main.fit_images:,} validation images, as few names as the promise allows: few where the "
        f"classifier is sure, many where it is not. The mark is the promise, the bar the test with its 95 % interval.{empty}",
    ]
    rows = [_row(outcome) for outcome in results.sets]
    data = {"notes": notes, "rows": rows, "warning": main.warning}
    return Section("How many names", data, {"notes": notes, "warning": main.warning, "promises": rows})


def _row(outcome: SetOutcome) -> Row:
    summary = outcome.summary
    names, few = summary.mean_size, summary.at_most(5)
    return Row(
        outcome.promise,
        summary.coverage,
        summary.low,
        summary.high,
        names,
        summary.median_size,
        few,
        outcome.is_kept,
        name=f"{100 * outcome.promise:g} of 100 promised",
        note=f"{names:.1f} names on average, {summary.median_size:g} in the middle; at most 5 for {100 * few:.0f} % of images",
    )
