"""The threshold of prediction sets: which of n scores has to be let in for a coverage on the next image."""

from __future__ import annotations

import math

from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_number

__all__ = ["check_coverage", "conformal_quantile", "fewest_images", "quantile_index"]


def check_coverage(coverage: object, name: str = "coverage") -> float:
    """Return a coverage in (0, 1)."""
    number = check_number(name, coverage)
    if not 0 < number < 1:
        remedy = "The right name is always among all names alone." if number == 1 else "Did you mean 0.9?"
        raise InvalidValueError(must(name, "lie between 0 and 1", coverage, remedy))
    return number


def quantile_index(images: int, coverage: float) -> int:
    """Return which of the n scores, counted from 1, is the threshold: ⌈(n + 1) c⌉; above n there is none.

    The product is rounded to nine digits first: in floating point 0.07 · 100 is 7.000000000000001, whose ceiling is 8.

    Examples:
        >>> quantile_index(99, 0.07), math.ceil(100 * 0.07)
        (7, 8)
    """
    return math.ceil(round((images + 1) * coverage, 9))


def fewest_images(coverage: float) -> int:
    """Return how many images there must be for a threshold below which not everything is: ⌈1 / (1 − c)⌉ − 1.

    Examples:
        >>> [fewest_images(coverage) for coverage in (0.8, 0.9, 0.95)]
        [4, 9, 19]
    """
    return math.ceil(round(coverage / (1 - coverage), 9))


def conformal_quantile(scores: Tensor, coverage: float, weight: Tensor | None = None) -> float:
    r"""Return the score up to which a class is shown, so that a new image of the same kind is covered with probability c.

    It is the ⌈(n + 1) c⌉-th smallest of the n scores; +inf where there are not so many. With weights it is the smallest
    score at which the weights up to it reach c · (Σ w + 1), the 1 being that of the new image.

    Args:
        scores: scores of the right classes (n,), ascending, float64.
        coverage: c in (0, 1).
        weight: weight ≥ 0 of each image (n,): how much likelier such an image is at use than at fit.

    Source:
        Vovk et al., Algorithmic learning in a random world, 2005; weights: Tibshirani et al., Conformal prediction under
        covariate shift, NeurIPS 2019, with the new image's weight 1.

    Examples:
        >>> import torch
        >>> scores = torch.arange(1.0, 10.0, dtype=torch.float64)
        >>> conformal_quantile(scores, 0.8), conformal_quantile(scores, 0.95)
        (8.0, inf)
    """
    if weight is None:
        index = quantile_index(len(scores), coverage)
        return float(scores[index - 1]) if index <= len(scores) else math.inf
    reached = weight.double().cumsum(0)
    total = float(reached[-1]) if len(reached) else 0.0
    wanted = round((total + 1) * coverage, 9)
    enough = ((reached * 1e9).round() / 1e9 >= wanted).nonzero()
    return float(scores[int(enough[0])]) if len(enough) else math.inf
