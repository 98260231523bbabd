"""Slow references of the class report: one row at a time, in Python numbers. Nothing here is shared with the package."""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["count_rows", "figures", "order"]


def order(scores: list[float]) -> list[int]:
    """The classes in the order of the rule: NaN first, higher scores first, equal ones by class index."""
    return sorted(
        range(len(scores)), key=lambda c: (not math.isnan(scores[c]), -scores[c] if scores[c] == scores[c] else 0, c)
    )


def count_rows(rows: list[list[float]], target: list[int], ignore: int | None = None) -> dict:
    """Ranks of the targets, (actual, predicted) pairs and rows with NaN."""
    ranks, pairs, support, nan_rows = [], Counter(), Counter(), 0
    for scores, label in zip(rows, target, strict=True):
        if label == ignore:
            continue
        support[label] += 1
        # A NaN target stands behind everything, also behind other NaN.
        ranks.append((label, len(scores) if math.isnan(scores[label]) else order(scores).index(label)))
        if any(math.isnan(score) for score in scores):
            nan_rows += 1
        else:
            pairs[label, order(scores)[0]] += 1
    return {"ranks": ranks, "pairs": pairs, "support": support, "nan_rows": nan_rows}


def divide(a: float, b: float) -> float:
    return a / b if b else math.nan


def figures(counted: dict, num_classes: int, ks: tuple[int, ...]) -> dict:
    """All values of the report; macro means over classes with images, where an undefined precision counts 0."""
    classes = range(num_classes)
    support = [counted["support"][c] for c in classes]
    predicted = [sum(n for (_, p), n in counted["pairs"].items() if p == c) for c in classes]
    right = [counted["pairs"][c, c] for c in classes]
    found: dict = {
        "support": support,
        "predicted": predicted,
        "precision": [divide(right[c], predicted[c]) for c in classes],
        "recall": [divide(right[c], support[c]) for c in classes],
        "nan_rows": counted["nan_rows"],
    }
    found["f1"] = []
    for c in classes:
        precision, recall = found["precision"][c], found["recall"][c]
        if not support[c] and not predicted[c]:
            found["f1"].append(math.nan)
        elif not right[c]:
            found["f1"].append(0.0)
        else:
            found["f1"].append(2 * precision * recall / (precision + recall))
    for k in ks:
        within = [sum(label == c and rank < k for label, rank in counted["ranks"]) for c in classes]
        found[f"recall_top{k}"] = [divide(within[c], support[c]) for c in classes]
        found[f"top{k}"] = divide(sum(within), sum(support))
    found["accuracy"] = divide(sum(right), sum(support))
    seen = [c for c in classes if support[c]]
    for name in ("precision", "recall", "f1", *(f"recall_top{k}" for k in ks)):
        values = {c: 0.0 if math.isnan(found[name][c]) else found[name][c] for c in seen}
        found[f"macro_{name}"] = divide(sum(values.values()), len(seen))
        if "top" not in name:
            found[f"weighted_{name}"] = divide(sum(values[c] * support[c] for c in seen), sum(support))
    return found
