"""Thresholds of a confidence with a promise that holds on fresh images: among all of them, or among those accepted."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning.decisions._binomial import allowed_errors, binomial_tail, least_images

__all__ = ["NOTHING", "threshold_among_accepted", "threshold_among_all", "threshold_of_events"]

#: The threshold that no confidence reaches.
NOTHING = float("inf")

# Thresholds that do not depend on the images: even steps of the log-odds, from .9999999 down to .0001.
_GRID = torch.special.expit(torch.arange(64, -38, -1, dtype=torch.float64) / 4).tolist()


def threshold_among_all(confidence: Tensor, wrong: Tensor, rate: float, level: float) -> float:
    """Return the lowest threshold at which accepted and wrong images are promised to be at most `rate` of all images.

    They only become more as the threshold falls, so one bound holds for all thresholds at once: the lowest is taken at
    which the images seen are few enough.

    Args:
        confidence: of each image (N,); −1: of none.
        wrong: whether its answer is wrong (N,).
        rate: the promise.
        level: its probability.

    Returns:
        0 where all may be accepted; infinity where none.
    """
    return threshold_of_events(confidence, wrong.long(), len(confidence), rate, level)


def threshold_of_events(confidence: Tensor, change: Tensor, images: int, rate: float, level: float) -> float:
    """Return the lowest threshold before the number of errors, from strict to lax, first exceeds what a promise allows.

    Args:
        confidence: where something changes (M,).
        change: by how much the number of errors then changes (M,).
        images: N, of which the errors are counted.
        rate: the promise.
        level: its probability.
    """
    allowed = allowed_errors(images, rate, level)
    if allowed < 0:
        return NOTHING
    usable = confidence >= 0
    levels, inverse = confidence[usable].neg().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    errors = torch.zeros(len(levels), dtype=torch.int64).index_add(0, inverse, change[usable]).cumsum(0)
    failed = (errors > allowed).nonzero().flatten()
    if not len(failed):
        return 0.0
    return -float(levels[failed[0] - 1]) if failed[0] else NOTHING


def threshold_among_accepted(confidence: Tensor, wrong: Tensor, rate: float, level: float) -> float:
    """Return the lowest threshold at which wrong images are promised to be at most `rate` of those accepted.

    Thresholds that do not depend on the images are tried from strict to lax, each by the bound of Clopper and Pearson, up
    to the first that fails. The first tried is the first that accepts as many images as a promise takes at the least,
    which is seen without looking whether they are right.

    Args:
        confidence: of each image (N,); −1: of none.
        wrong: whether its answer is wrong (N,).
        rate: the promise.
        level: its probability.

    Source: Angelopoulos et al., Learn then Test, 2021, section 3.1 (fixed sequence testing).
    """
    enough, lowest = least_images(rate, level), NOTHING
    for threshold in _GRID:
        accepted = confidence >= threshold
        images = int(accepted.sum())
        if images < enough:
            continue
        if binomial_tail(int(wrong[accepted].sum()), images, rate) > 1 - level:
            break
        lowest = threshold
    return lowest
