"""One class with its name and probability: what every prediction is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from topk_lightning._checks import must

__all__ = ["TopKPrediction"]


class TopKPrediction:
    """Name one class and its probability; unpacks, and is indexed, as (label, probability).

    It is immutable, compares by value and can be pickled.

    Args:
        label: name of the class; its index as text where there are no names.
        index: index of the class.
        probability: in [0, 1].

    Examples:
        >>> label, probability = TopKPrediction("cat", 3, 0.75)
        >>> label, probability
        ('cat', 0.75)
        >>> TopKPrediction("cat", 3, 0.75)[0]
        'cat'
    """

    # Not a dataclass: Lightning walks through the dataclasses, tuples and lists that predict_step returns, copies what
    # it finds, and refuses a frozen one.
    __slots__ = ("index", "label", "probability")
    __match_args__ = ("label", "index", "probability")

    label: str
    index: int
    probability: float

    def __init__(self, label: str, index: int, probability: float) -> None:
        for name, value in zip(self.__match_args__, (label, index, probability), strict=True):
            object.__setattr__(self, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.label, self.probability))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: Any) -> Any:
        return (self.label, self.probability)[at]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(must(f"the {name} of a TopKPrediction", "stay as it is", "an assignment"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TopKPrediction) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __reduce__(self) -> tuple[type[TopKPrediction], tuple[str, int, float]]:
        return TopKPrediction, self._values()

    def __repr__(self) -> str:
        return f"TopKPrediction(label={self.label!r}, index={self.index}, probability={self.probability})"

    def _values(self) -> tuple[str, int, float]:
        return self.label, self.index, self.probability
