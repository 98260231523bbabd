"""What ``topk-lightning review`` says: the promise, the piles, the accuracy at each share of review, the sure level."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from topk_lightning.decisions import ReviewPlan, RollUp, best_k, risk_coverage
from topk_lightning.scores import Scores

__all__ = ["plan_lines", "sure_lines"]


def plan_lines(plan: ReviewPlan, validation: Scores, test: Scores | None) -> tuple[list[Any], dict[str, Any]]:
    """Return what is said of a plan, and the same as plain data."""
    table = _table("images of", "accepted", "wrong", "on a list", "missing", "for a person")
    outcomes = {"validation": plan.outcome(validation)} | ({} if test is None else {"test": plan.outcome(test)})
    for name, outcome in outcomes.items():
        counts = (outcome.accepted, outcome.wrong, outcome.listed, outcome.missed, outcome.person)
        table.add_row(name, *(f"{count:,} ({count / outcome.images:.3f})" for count in counts))
    shown, named = (validation, "validation") if test is None else (test, "test")
    curve = risk_coverage(shown)
    shares = [number / 10 for number in range(11)]
    right = [curve.accuracy(share) for share in shares]
    by_share = _table("a person sees", "right in the end")
    for share, accuracy in zip(shares, right, strict=True):
        by_share.add_row(f"{share:.0%}", f"{accuracy:.3f}")
    lines = [plan.promise, table, outcomes[named].sentence, by_share]
    lines.append(f"Area under the risk-coverage curve of the {named}: {curve.aurc:.3f} (0 is best).")
    content: dict[str, Any] = {
        "review": plan.to_dict(),
        "outcomes": {name: vars(each) for name, each in outcomes.items()},
        "aurc": curve.aurc,
        "accuracy_by_review": [{"review": s, "accuracy": a} for s, a in zip(shares, right, strict=True)],
    }
    if plan.costs is not None:
        best = best_k(validation, costs=plan.costs)
        lines.append(
            f"Of lists alone the cheapest has {best.k} {'name' if best.k == 1 else 'names'}: {float(best.cost[best.k - 1]):.3g} a "
            f"picture, where a person for each costs {plan.costs.person:g}; measured on the validation."
        )
        content["best_k"] = {"k": best.k, "cost": [float(cost) for cost in best.cost]}
    return lines, content


def sure_lines(sure: RollUp, validation: Scores, test: Scores | None) -> tuple[list[Any], dict[str, Any]]:
    """Return what is said of the level that one is sure of, and the same as plain data."""
    shown, named = (validation, "validation") if test is None else (test, "test")
    said = sure.outcome(shown)
    table = _table("said of the " + named, "pictures", "right")
    for level in said.by_level:
        table.add_row(level.level, f"{level.answered:,}", f"{level.right:,}")
    lines = [
        sure.promise,
        f"{said.answered:,} of {said.images:,} are answered, {said.right:,} of them right"
        + (f" ({said.accuracy:.3f})." if said.answered else "."),
        table,
    ]
    by_level = [vars(level) for level in said.by_level]
    outcome = {"images": said.images, "by_level": by_level, "near": list(said.near)}
    return lines, {**sure.to_dict(), "outcome": outcome}


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    return table
