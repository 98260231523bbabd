"""What a review plan costs, and the thresholds that cost least among those that keep its promise."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning.decisions._best_k import Costs
from topk_lightning.decisions._confidences import Confidences
from topk_lightning.decisions._thresholds import NOTHING

__all__ = ["cheapest_thresholds", "mean_cost"]


def mean_cost(seen: Confidences, k: int, threshold: float, lists: float, costs: Costs) -> float:
    """Return the mean cost of a picture: of an error, of a person, of k names to read."""
    accepted, listed = costs.wrong * seen.wrong.double(), costs.name * k + costs.wrong * seen.missed(k).double()
    otherwise = torch.where(seen.best >= lists, listed, costs.person)
    return float(torch.where(seen.first >= threshold, accepted, otherwise).mean())


def cheapest_thresholds(seen: Confidences, k: int, threshold: float, lists: float, costs: Costs) -> tuple[float, float]:
    """Return the thresholds of the least mean cost, neither lower than it was: what is accepted less often keeps the promise."""
    accepted = costs.wrong * seen.wrong.double()
    listed = costs.name * k + costs.wrong * seen.missed(k).double()
    first, second = threshold, lists
    for _ in range(3):
        # What a picture costs that is not accepted, and then what it costs without a list.
        otherwise = torch.where(seen.best >= second, listed, costs.person)
        first = _least(seen.first, accepted - otherwise, threshold)
        waiting = seen.first < first
        second = _least(seen.best[waiting], (listed - costs.person)[waiting], lists)
    return first, second


def _least(confidence: Tensor, gain: Tensor, bound: float) -> float:
    """Return the threshold from `bound` on above which the sum of `gain` is least."""
    allowed = (confidence >= bound) & (confidence >= 0)
    thresholds, inverse = confidence[allowed].neg().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    if not len(thresholds):
        return bound
    sums = torch.zeros(len(thresholds), dtype=torch.float64).index_add(0, inverse, gain[allowed]).cumsum(0)
    lowest = int(sums.min(0).indices)
    if sums[lowest] >= 0:
        return NOTHING
    return bound if lowest == len(thresholds) - 1 else -float(thresholds[lowest])
