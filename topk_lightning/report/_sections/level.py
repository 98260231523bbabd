"""The level one is sure of: how often a class or a group is said, how often it is right, and how far off the rest is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topk_lightning.decisions import HalvesOutcome, RollUp, RollUpOutcome
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 48


@dataclass(frozen=True)
class Row:
    """A line with a name, a share and a remark."""

    name: str
    share: float
    note: str


def section(results: Results) -> Section | None:
    """Return what both fits come to; None without groups."""
    sure, outcome, halves = results.decided.sure, results.decided.sure_outcome, results.decided.halves
    if halves is None or halves.images == 0:
        return None
    top1 = float((results.evaluation.rank == 0).double().mean())
    error = 0.1 if sure is None or not sure.images else sure.target_error
    fits = [*_fit_rows(sure, outcome), *_halves_rows(halves)]
    levels, far = _level_rows(outcome), _far_rows(outcome)
    notes = [_first(outcome, halves, top1), _why(sure, outcome, halves), *([] if sure is None else [sure.promise])]
    values: dict[str, Any] = {
        "notes": notes,
        "target_error": error,
        "fitted_on_validation": None if outcome is None else _plain(outcome),
        "fitted_on_halves_of_the_test": {
            "draws": halves.draws,
            "images": halves.images,
            "answered": halves.answered,
            "right": halves.right,
            "error": halves.error,
        },
        "threshold": None if sure is None else sure.to_dict()["threshold"],
        "by_level": levels,
        "further_off": far,
    }
    data = {"notes": notes, "fits": fits, "levels": levels, "far": far}
    return Section("The level it is sure of", data, values)


def _first(outcome: RollUpOutcome | None, halves: HalvesOutcome, top1: float) -> str:
    if outcome is not None and outcome.answered:
        return (
            f"If it may name a group where the class is unsure, and nothing where the group is, {outcome.share:.0%} of the "
            f"pictures are answered and {outcome.accuracy:.0%} of the answers are right; its first guess alone is right for "
            f"{top1:.0%}."
        )
    return (
        f"Fitted on images like these, {halves.answered:.0%} of the pictures are answered by a class or a group, and "
        f"{_percent(halves.right)} of the answers are right; the first guess alone is right for {top1:.0%}."
    )


def _why(sure: RollUp | None, outcome: RollUpOutcome | None, halves: HalvesOutcome) -> str:
    """Say why the two fits differ."""
    if sure is None or outcome is None:
        return "Without validation images the threshold can only be tried on halves of the test."
    if not sure.images:
        return "The threshold was given, not fitted."
    gap = outcome.share - halves.answered
    if abs(gap) < 0.05:
        return "Both fits answer about as many: the validation images are of the kind of the test."
    kind = (
        "it is surer of them than it should be, or they are harder, so that it answers less than it could here"
        if gap < 0
        else "they are easier than those of the test, so that it answers more here than was promised to be safe"
    )
    return (
        f"The two fits differ because the validation images are of another kind (camera, season, vendor) than the test: {kind}. "
        "A threshold holds for pictures like those it was fitted on."
    )


def _fit_rows(sure: RollUp | None, outcome: RollUpOutcome | None) -> list[Row]:
    if sure is None or outcome is None:
        return []
    name = f"fitted on {sure.images:,} validation images" if sure.images else "given threshold"
    return [
        Row(
            name,
            outcome.share,
            f"answered; {_percent(outcome.accuracy)} of the answers right, {outcome.error:.1%} of all wrong",
        )
    ]


def _halves_rows(halves: HalvesOutcome) -> list[Row]:
    note = f"answered; {_percent(halves.right)} of the answers right, {halves.error:.1%} of all wrong; mean of {halves.draws} draws"
    return [Row("fitted on half of the test, measured on the other", halves.answered, note)]


def _level_rows(outcome: RollUpOutcome | None) -> list[Row]:
    rows = [] if outcome is None else list(outcome.by_level)
    images = 1 if outcome is None else outcome.images
    return [
        Row(one.level, one.answered / images, f"{one.answered:,} pictures, {one.right:,} named right") for one in rows
    ]


def _far_rows(outcome: RollUpOutcome | None) -> list[Row]:
    """Return how much further up the wrong answers would have been right."""
    if outcome is None or not sum(outcome.near):
        return []
    total, rows = sum(outcome.near), []
    for place, count in enumerate(outcome.near):
        last = place == len(outcome.near) - 1
        name = (
            "in no common group" if last else "one level further up" if place == 0 else f"{place + 1} levels further up"
        )
        rows.append(Row(name, count / total, f"{count:,} of {total:,} wrong answers"))
    return rows


def _plain(outcome: RollUpOutcome) -> dict[str, Any]:
    return {
        "images": outcome.images,
        "answered": outcome.answered,
        "right": outcome.right,
        "share": outcome.share,
        "accuracy": outcome.accuracy,
        "error": outcome.error,
    }


def _percent(share: float) -> str:
    return "none" if share != share else f"{share:.0%}"
