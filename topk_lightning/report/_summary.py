"""The head of the page: one sentence, the grade, and a hundred dots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from topk_lightning.findings import grade
from topk_lightning.report._results import Results

__all__ = ["dots", "summary", "waffle"]


def summary(results: Results) -> dict[str, Any]:
    """Return the sentence with the accuracies, the grade with its reason, and the dots."""
    k, images = results.k, results.images
    histogram = results.report.rank_histogram().tolist()
    right, within = histogram[0], sum(histogram[:k])
    judged = grade(results.report)
    among = f" Among its first {k} guesses it is there for {within:,} ({within / images:.3f})." if k > 1 else ""
    return {
        "kicker": "Test report",
        "sentence": f"The first guess is right for {right:,} of {images:,} images ({right / images:.3f}).{among}"
        + (f" {results.possible}" if results.possible else ""),
        "verdict": judged.word,
        "look": judged.word,
        "reason": judged.reason,
        "waffle": waffle(right, within, images, k),
    }


def waffle(first: int, within: int, images: int, k: int) -> dict[str, Any]:
    """Return a hundred images in proportion: right at once, right within k, further behind; rounded to a sum of 100."""
    labels = {"first": "right at once", "near": f"right at rank 2 to {k}", "far": "further behind"}
    counts = {"first": first, "near": within - first, "far": images - within}
    return dots(counts, {kind: label for kind, label in labels.items() if kind != "near" or k > 1})


def dots(counts: Mapping[str, float], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a hundred images in proportion to counts by their kind, rounded to a sum of 100; kinds without a label are not told."""
    images = sum(counts.values())
    exact = {kind: 100 * count / images for kind, count in counts.items()}
    whole = {kind: math.floor(share) for kind, share in exact.items()}
    for kind in sorted(exact, key=lambda kind: whole[kind] - exact[kind])[: 100 - sum(whole.values())]:
        whole[kind] += 1
    parts = [(kind, whole[kind], labels[kind]) for kind in whole if kind in labels]
    kinds = [kind for kind in whole for _ in range(whole[kind])]
    places = [(8 + 16 * (place % 10), 8 + 16 * (place // 10), kind) for place, kind in enumerate(kinds)]
    words = ", ".join(f"{count} {label}" for _, count, label in parts)
    return {"dots": places, "parts": parts, "text": f"Of 100 images: {words}."}
