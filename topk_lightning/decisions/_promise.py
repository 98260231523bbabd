"""The promise of a bound in words and as plain data: what review plans and the level one is sure of share."""

from __future__ import annotations

import math

from topk_lightning._checks.options import check_number
from topk_lightning.decisions._binomial import least_images
from topk_lightning.decisions._thresholds import NOTHING

__all__ = ["nothing_promised", "plain_threshold", "threshold_of_plain"]


def nothing_promised(what: str, rate: float, confidence: float, images: int) -> str:
    """Return why nothing can be promised: too few images, or images that do not show it.

    Args:
        what: is promised to be rare: "errors".
        rate: the promise.
        confidence: its probability.
        images: of the fit.
    """
    least = least_images(rate, confidence)
    why = "are too few" if images < least else "do not show it"
    return (
        f"Nothing can be promised: for at most {100 * rate:g} % {what} with {100 * confidence:g} % confidence it takes at "
        f"least {least:,} images without an error, and {images:,} validation images {why}."
    )


def plain_threshold(threshold: float) -> float | None:
    """Return a threshold as JSON has it: infinity is null."""
    return None if math.isinf(threshold) else threshold


def threshold_of_plain(name: str, plain: float | None) -> float:
    """Return the threshold of :func:`plain_threshold`."""
    return NOTHING if plain is None else check_number(name, plain)
