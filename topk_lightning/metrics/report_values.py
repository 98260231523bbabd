"""What a class report says about pairs of classes, about near misses, and about every k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

__all__ = ["ConfusedPair", "NearlyRight", "TopKCurve"]


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes that are taken for each other.

    Attributes:
        first: name of the class whose images are taken for the other more often.
        second: name of the other.
        first_as_second: images of `first` that were predicted as `second`.
        second_as_first: images of `second` that were predicted as `first`.
        first_index: class index of `first`.
        second_index: class index of `second`.
        first_images: images of `first` in the test.
        second_images: images of `second` in the test.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    first_index: int
    second_index: int
    first_images: int
    second_images: int

    @property
    def total(self) -> int:
        """Mistakes in both directions."""
        return self.first_as_second + self.second_as_first


@dataclass(frozen=True)
class NearlyRight:
    """How many images of a class were missed at first, but have it among the k best.

    Attributes:
        name: name of the class.
        index: class index.
        images: images of the class in the test.
        right: images with the class at rank 1.
        nearly: images with the class at rank 2 … k.
        k: how many classes count as best.
    """

    name: str
    index: int
    images: int
    right: int
    nearly: int
    k: int


class TopKCurve(NamedTuple):
    """Accuracy at each k with the bounds of its interval, four tensors (K,)."""

    k: Tensor
    accuracy: Tensor
    low: Tensor
    high: Tensor
