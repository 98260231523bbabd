"""How many names to show, where it is known what a name to read and a missing name cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_number
from topk_lightning.decisions._confidences import as_scores, labels_alike
from topk_lightning.decisions._review_meter import ReviewMeter

__all__ = ["MOST_NAMES", "BestK", "Costs", "best_k"]

#: Names that a person reads before searching is quicker.
MOST_NAMES = 20


@dataclass(frozen=True)
class Costs:
    """Say what things cost, in one unit of your own, such as minutes.

    Args:
        wrong: a wrong name that nobody notices, or a list without the right one.
        person: a person who looks at a picture.
        name: reading one name of a list.
    """

    wrong: float = 1.0
    person: float = 1.0
    name: float = 0.0

    def __post_init__(self) -> None:
        for part, value in vars(self).items():
            if check_number(part, value) < 0:
                raise InvalidValueError(must(part, "be a cost of at least 0", value))

    @classmethod
    def of(cls, given: Costs | Mapping[str, float] | None) -> Costs | None:
        """Return costs that may be given as a dict.

        Raises:
            TypeError: anything else.
            ValueError: another name, a negative cost.
        """
        if given is None or isinstance(given, Costs):
            return given
        if not isinstance(given, Mapping):
            raise InvalidTypeError(must("costs", "be Costs or a dict of numbers", type(given).__name__))
        for part in given:
            if part not in cls.__dataclass_fields__:
                raise InvalidValueError(must("costs", "name wrong, person and name", repr(part)))
        return cls(**given)


@dataclass(frozen=True, eq=False)
class BestK:
    """The cheapest number of names.

    Attributes:
        k: it.
        cost: mean cost of a picture (K,), for k = 1, …, K.
        found: how often the right name is on the list (K,).
    """

    k: int
    cost: Tensor
    found: Tensor


def best_k(
    scores: Any,
    target: Any = None,
    *,
    costs: Costs | Mapping[str, float],
    most: int | None = None,
    kind: str = "logits",
) -> BestK:
    r"""Return how many names to show where reading one costs `name` and a list without the right one costs `wrong`.

    The mean cost of a picture is :math:`k \cdot \text{name} + \text{wrong} \cdot P(\text{rank} \ge k)`; of equally cheap
    numbers the smallest is taken.

    Shape:
        scores (N, C), target (N,).

    Args:
        scores: :class:`topk_lightning.Scores`, :class:`topk_lightning.decisions.ReviewMeter`, or an array (N, C) beside
            `target`.
        target: class of each image, beside an array.
        costs: :class:`Costs`, or a dict of its arguments; that of a person plays no part.
        most: the largest number that is looked at, at most C; None: 20.
        kind: what an array holds: "logits" or "probabilities".

    Raises:
        ValueError: no target, costs below 0.

    Examples:
        The right name is first for half of the images, second for a quarter, last for the rest.

        >>> logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]]).expand(4, 4)
        >>> best_k(logits, torch.tensor([0, 0, 1, 3]), costs={"wrong": 10, "name": 1})
        BestK(k=4, cost=tensor([6.0000, 4.5000, 5.5000, 4.0000]),
        found=tensor([0.5000, 0.7500, 0.7500, 1.0000]))
    """
    asked = Costs.of(costs)
    if asked is None:
        raise InvalidTypeError(must("costs", "be Costs or a dict of numbers", None))
    if isinstance(scores, ReviewMeter):
        rank, num_classes = scores.compute().rank, scores.num_classes
    else:
        given = as_scores(scores, target, kind)
        labels_alike(given, "the best k")
        rank, num_classes = given.target_ranks(), given.num_classes
    number = min(MOST_NAMES if most is None else most, num_classes)
    ks = torch.arange(1, number + 1)
    found = (rank.unsqueeze(0) < ks.unsqueeze(1)).double().mean(1)
    cost = asked.name * ks + asked.wrong * (1 - found)
    best = int((cost <= cost.min() + 1e-12).nonzero()[0]) + 1
    return BestK(best, cost.float(), found.float())
