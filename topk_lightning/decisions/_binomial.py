"""Bounds of Clopper and Pearson: how many errors may be seen among so many images where a rate is promised."""

from __future__ import annotations

import math

import torch

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer, check_number

__all__ = ["allowed_errors", "binomial_tail", "check_inner", "error_bound", "least_images"]


def check_inner(name: str, value: object) -> float:
    """Return a fraction that is neither 0 nor 1."""
    number = check_number(name, value)
    if not 0 < number < 1:
        raise InvalidValueError(must(name, "lie between 0 and 1", value))
    return number


def binomial_tail(errors: int, images: int, rate: float) -> float:
    """Return the probability of at most `errors` among `images` that each fail with probability `rate`.

    Examples:
        >>> round(binomial_tail(0, 2, 0.5), 9), round(binomial_tail(1, 2, 0.5), 9)
        (0.25, 0.75)
    """
    if errors < 0:
        return 0.0
    return 1.0 if errors >= images else min(1.0, float(_log_tails(images, rate, errors)[-1].exp()))


def allowed_errors(images: int, rate: float, confidence: float) -> int:
    """Return the most errors among `images` at which the upper bound of the true rate is at most `rate`; −1: none is few enough.

    Examples:
        >>> [allowed_errors(images, 0.05, 0.95) for images in (58, 59, 92, 93, 231)]
        [-1, 0, 0, 1, 5]
    """
    if images == 0:
        return -1
    most = min(images, math.ceil(images * rate))  # the median lies there or before
    tails = _log_tails(images, rate, most)
    return int((tails <= math.log1p(-confidence) + 1e-12).sum()) - 1


def least_images(rate: float, confidence: float = 0.95) -> int:
    """Return how many images are needed at least to promise a rate of errors: so many without an error.

    Args:
        rate: the promised rate, in (0, 1).
        confidence: the probability of the promise, in (0, 1).

    Examples:
        >>> least_images(0.05), least_images(0.1)
        (59, 29)
    """
    check_inner("rate", rate)
    check_inner("confidence", confidence)
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate) - 1e-9)


def error_bound(errors: int, images: int, confidence: float = 0.95) -> float:
    r"""Return the upper bound of a rate of which `errors` of `images` were seen, by Clopper and Pearson.

    It is the rate p with :math:`P(X \le \text{errors}) = 1 - \text{confidence}` for X binomial over the images with p.

    Args:
        errors: how many were seen.
        images: of how many.
        confidence: the probability with which the true rate lies below, in (0, 1), one-sided.

    Examples:
        >>> round(error_bound(0, 59), 4), round(error_bound(3, 100), 4)
        (0.0495, 0.0757)

    Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial, 1934.
    """
    check_integer("errors", errors, minimum=0)
    check_integer("images", images, minimum=0)
    check_inner("confidence", confidence)
    if errors >= images:
        return 1.0
    low, high = errors / images, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if binomial_tail(errors, images, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _log_tails(images: int, rate: float, most: int) -> torch.Tensor:
    """Return log P(X ≤ e) for e = 0, …, most."""
    counts = torch.arange(most + 1, dtype=torch.float64)
    ways = math.lgamma(images + 1) - torch.lgamma(counts + 1) - torch.lgamma(images - counts + 1)
    logs = ways + counts * math.log(rate) + torch.xlogy(images - counts, torch.tensor(1 - rate, dtype=torch.float64))
    return logs.logcumsumexp(0)
