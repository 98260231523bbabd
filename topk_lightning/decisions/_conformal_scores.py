"""How strange a class is for an image, by four rules: what prediction sets are cut by; in float64, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.ranking import count_ahead, topk_indices

__all__ = ["METHODS", "ScoreRule", "row_blocks"]

METHODS = ("lac", "aps", "raps", "rank")

#: Scores in a block: a few tensors of it in float64 are in memory at a time.
_BLOCK = 2**18


@dataclass(frozen=True)
class ScoreRule:
    r"""A rule that scores each class y of an image: the lower, the sooner it is shown.

    With p the softmax of s / T in float64, and "ahead" by the order rule:

    - "lac": −log p(y); with `log_prevalence` + log of the class's share.
    - "aps": the probability of the classes ahead of y; randomised + (1 − u) p(y), that is up to and with y, less u p(y).
    - "raps": the same + penalty · max(0, rank − k), the rank being the number of classes ahead.
    - "rank": the rank.

    A class is scored by the same arithmetic at fit and at use: the probabilities of "aps" are whole multiples of 2^-52,
    whose sums are exact in any order.

    Args:
        method: one of METHODS.
        temperature: T by which logits are divided.
        penalty: of "raps".
        k: of "raps", how many classes may stand ahead without a penalty.
        randomised: "aps" and "raps" take one u a row.
        log_prevalence: log of the share of each class (C,), of "lac"; None: none.
    """

    method: str = "lac"
    temperature: float = 1.0
    penalty: float = 0.01
    k: int = 5
    randomised: bool = False
    log_prevalence: Tensor | None = None

    def of_targets(self, values: Tensor, logits: Tensor, target: Tensor, uniform: Tensor | None = None) -> Tensor:
        """Return the score of the target of each row (n,), float64; +inf where the row has no softmax.

        Args:
            values: scores (n, C), by which classes are ordered.
            logits: logits (n, C) of the same order.
            target: class indices (n,).
            uniform: u of each row (n,), float64, where the rule is randomised.
        """
        column = target.unsqueeze(1)
        if self.method == "rank":
            scores = count_ahead(values, target).double()
        elif self.method == "lac":
            scores = 0 - self._log_p(logits).gather(1, column).squeeze(1)
            scores = scores if self.log_prevalence is None else scores + self.log_prevalence.to(scores.device)[target]
        else:
            p = self._p(logits)
            index = torch.arange(values.shape[1], device=values.device)
            score = values.gather(1, column)
            ahead = (values > score) | ((values == score) & (index < column))
            scores = (p * ahead).sum(1)
            if uniform is not None:
                scores = scores + (1 - uniform) * p.gather(1, column).squeeze(1)
            if self.method == "raps":
                scores = scores + self._penalties(count_ahead(values, target))
        return torch.where(has_softmax(logits), scores, torch.inf)

    def of_classes(self, values: Tensor, logits: Tensor, uniform: Tensor | None = None) -> Tensor:
        """Return the score of each class of each row (n, C), float64; NaN, which is never low, where the row has no softmax.

        Args:
            values: as in :meth:`of_targets`.
            logits: as there.
            uniform: as there.
        """
        if self.method == "lac":
            scores = 0 - self._log_p(logits)
            scores = scores if self.log_prevalence is None else scores + self.log_prevalence.to(scores.device)
        else:
            order = topk_indices(values, values.shape[1])
            rank = torch.arange(values.shape[1], device=values.device)
            if self.method == "rank":
                ranked = rank.double().expand(values.shape)
            else:
                p = self._p(logits).gather(1, order)
                ranked = p.cumsum(1) - p
                if uniform is not None:
                    ranked = ranked + (1 - uniform).unsqueeze(1) * p
                if self.method == "raps":
                    ranked = ranked + self._penalties(rank)
            scores = torch.empty_like(ranked).scatter_(1, order, ranked)
        return scores.masked_fill_(~has_softmax(logits).unsqueeze(1), torch.nan)

    def _log_p(self, logits: Tensor) -> Tensor:
        scaled = logits if self.temperature == 1 else logits.double() / self.temperature
        return scaled.log_softmax(1, dtype=torch.float64)

    def _p(self, logits: Tensor) -> Tensor:
        return self._log_p(logits).exp_().add_(1).sub_(1)

    def _penalties(self, rank: Tensor) -> Tensor:
        return self.penalty * (rank - self.k).clamp(min=0).double()


def has_softmax(logits: Tensor) -> Tensor:
    """Return which rows (n,) have a finite highest logit and no NaN."""
    return logits.amax(1).isfinite()


def row_blocks(rows: int, num_classes: int) -> Iterator[slice]:
    """Yield slices of rows of which each holds about a quarter of a million scores."""
    step = max(1, _BLOCK // max(1, num_classes))
    for start in range(0, rows, step):
        yield slice(start, start + step)
