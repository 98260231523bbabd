"""McNemar's test: whether two models that saw the same images differ, from the images on which only one is right."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch

from topk_lightning._checks.options import check_integer

__all__ = ["McNemar", "mcnemar", "verdict_of"]


class McNemar(NamedTuple):
    """The two-sided p of McNemar's test, exact and mid-p."""

    exact: float
    mid_p: float


@lru_cache(maxsize=4096)
def mcnemar(won: int, lost: int) -> McNemar:
    r"""Return the probability that two equal models differ on this many images by as much as they do.

    With m = min(won, lost) and X binomial over n = won + lost images with probability 1/2, the exact p is
    :math:`\min(1, 2 P(X \le m))` and the mid-p is :math:`2 P(X < m) + P(X = m)`. The exact test errs by at most its level, and
    for few images by much less; the mid-p comes near the level from about ten images on, and hardly exceeds it.

    Args:
        won: images on which only the second model is right.
        lost: images on which only the first is.

    Returns:
        Both, in [0, 1]; 1 where no image tells the models apart.

    Raises:
        TypeError: no whole numbers.
        ValueError: a negative number.

    Examples:
        >>> exact, mid_p = mcnemar(8, 2)
        >>> round(exact, 4), round(mid_p, 4)
        (0.1094, 0.0654)

    Source: McNemar (1947); Fagerland, Lydersen and Laake (2013), "The McNemar test for binary matched-pairs data".
    """
    check_integer("won", won, minimum=0)
    check_integer("lost", lost, minimum=0)
    images, least = won + lost, min(won, lost)
    counts = torch.arange(least + 1, dtype=torch.float64)
    ways = math.lgamma(images + 1) - torch.lgamma(counts + 1) - torch.lgamma(images - counts + 1)
    log_probability = ways - images * math.log(2)
    tail, at_least = float(log_probability.logsumexp(0).exp()), float(log_probability[-1].exp())
    return McNemar(min(1.0, 2 * tail), min(1.0, 2 * tail - at_least))


def verdict_of(difference: float, p: float, level: float, equivalent: bool | None) -> str:
    """Return what a difference shows at a level: "better", "worse", "equivalent" or "undecided", said of the second model."""
    if equivalent:
        return "equivalent"
    if p > 1 - level:
        return "undecided"
    return "better" if difference > 0 else "worse"
