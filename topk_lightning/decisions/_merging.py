"""Pairs of classes to merge: those that are taken for each other, with the accuracy that one name for both would give."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer
from topk_lightning.metrics import wilson_interval

__all__ = ["MergePair", "pairs_to_merge"]


@dataclass(frozen=True)
class MergePair:
    """Two classes that are taken for each other.

    Attributes:
        first: index of a class.
        second: index of the other, larger.
        first_as_second: images of the first taken for the second.
        second_as_first: the other way.
        right: images of the two that are named right.
        accuracy: of all images, as it is.
        merged: of all images, if both had one name.
        told_apart: Wilson's interval of the share named right among images of the two that are named as either; around .5 a
            coin would do as well.
    """

    first: int
    second: int
    first_as_second: int
    second_as_first: int
    right: int
    accuracy: float
    merged: float
    told_apart: tuple[float, float]

    @property
    def confused(self) -> int:
        """Images taken for the other of the two."""
        return self.first_as_second + self.second_as_first

    @property
    def gain(self) -> float:
        """What merging adds to the accuracy."""
        return self.merged - self.accuracy

    @property
    def is_guessed(self) -> bool:
        """Whether it is not shown that the two are told apart better than by a coin."""
        return self.told_apart[0] <= 0.5


def pairs_to_merge(confusions: Tensor, images: int | None = None, *, most: int = 10, least: int = 2) -> list[MergePair]:
    """Return pairs of classes that are most often taken for each other, and what the accuracy would be with one name for both.

    Merging changes no score: an image of either class that is named as the other becomes right. It is measured on the images
    of the confusions, so a gain that was searched among many pairs is an optimistic one.

    Args:
        confusions: actual class, predicted class and count (M, 3) of integers, as ``ClassReport.confusions()`` returns them;
            those that are right count too.
        images: number of all images, where some stand in no pair (a score that is no number); None: those of the pairs.
        most: how many pairs at most.
        least: images of a pair that are taken for the other, at least.

    Raises:
        ValueError: another shape.

    Examples:
        100 images; 8 wolves taken for dogs, 4 the other way.

        >>> confusions = torch.tensor([[0, 0, 40], [0, 1, 4], [1, 0, 8], [1, 1, 30], [2, 2, 18]])
        >>> pair = pairs_to_merge(confusions)[0]
        >>> pair.first, pair.second, pair.confused, round(pair.accuracy, 2), round(pair.merged, 2)
        (0, 1, 12, 0.88, 1.0)
    """
    check_integer("most", most, minimum=0)
    check_integer("least", least)
    if confusions.ndim != 2 or confusions.shape[1] != 3 or confusions.is_floating_point():
        wanted = "have shape (M, 3) of integers: actual class, predicted class, count"
        raise InvalidValueError(must("confusions", wanted, tuple(confusions.shape)))
    counts = {(actual, predicted): count for actual, predicted, count in confusions.tolist()}
    total = sum(counts.values()) if images is None else images
    hits = sum(count for (actual, predicted), count in counts.items() if actual == predicted)
    confused = {(min(pair), max(pair)) for pair, count in counts.items() if pair[0] != pair[1] and count}
    found = []
    for first, second in confused:
        there, back = counts.get((first, second), 0), counts.get((second, first), 0)
        if there + back >= least:
            right = counts.get((first, first), 0) + counts.get((second, second), 0)
            found.append((first, second, there, back, right))
    found = sorted(found, key=lambda pair: (-pair[2] - pair[3], pair[4], pair[0], pair[1]))[:most]
    right, among = torch.tensor([(pair[4], sum(pair[2:])) for pair in found], dtype=torch.float64).view(-1, 2).unbind(1)
    told_apart = wilson_interval(right / among, among, 0.95).tolist()
    return [
        MergePair(*pair, hits / total, (hits + pair[2] + pair[3]) / total, (low, high))
        for pair, (low, high) in zip(found, told_apart, strict=True)
    ]
