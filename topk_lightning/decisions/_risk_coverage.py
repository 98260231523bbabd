"""Risk against coverage: how often a classifier errs on the part of the images it is surest of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_fraction, check_level
from topk_lightning.decisions._confidences import as_scores
from topk_lightning.decisions._review_meter import ReviewMeter, seen_of
from topk_lightning.metrics import wilson_interval

__all__ = ["RiskCoverage", "risk_coverage"]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk of the surest images, for every number of them.

    Attributes:
        confidence: probability of the first guess (M,), from high to low: one place for each that occurs.
        accepted: images at least so sure (M,).
        errors: those of them that are wrong (M,).
        images: N.
        low: lower bound of the risk (M,), by Wilson, each on its own.
        high: upper bound (M,).
    """

    confidence: Tensor
    accepted: Tensor
    errors: Tensor
    images: int
    low: Tensor
    high: Tensor

    @property
    def coverage(self) -> Tensor:
        """Share of the images that are at least so sure (M,)."""
        return self.accepted.double() / self.images

    @property
    def risk(self) -> Tensor:
        """Share of these that are wrong (M,)."""
        return self.errors.double() / self.accepted

    @property
    def aurc(self) -> float:
        r"""The area under the curve: the mean risk of the n surest images, over n = 1, …, N; 0 is best.

        Images of one confidence have no order: errors among them count in equal parts, as on the average of all orders.
        """
        risks = self._errors_of_surest() / torch.arange(1, self.images + 1, dtype=torch.float64)
        return float(risks.mean())

    def accuracy(self, review: float) -> float:
        """Return how many are right in the end where a person names the least sure pictures, and names them right.

        Args:
            review: the share of the pictures that a person sees, in [0, 1].
        """
        accepted = self._left(review)
        return 1 - (float(self._errors_of_surest()[accepted - 1]) / self.images if accepted else 0.0)

    def accuracy_of_accepted(self, review: float) -> float:
        """Return how many are right of those that no person sees; NaN where there are none.

        Args:
            review: the share of the pictures that a person sees, in [0, 1].
        """
        accepted = self._left(review)
        return 1 - float(self._errors_of_surest()[accepted - 1]) / accepted if accepted else float("nan")

    def _left(self, review: float) -> int:
        return self.images - math.floor(check_fraction("review", review) * self.images + 1e-9)

    def _errors_of_surest(self) -> Tensor:
        """Return the mean number of errors among the n surest images, n = 1, …, N, over all orders of equal confidences."""
        start = torch.cat([torch.zeros(1, dtype=torch.int64), self.accepted[:-1]])
        before = torch.cat([torch.zeros(1, dtype=torch.int64), self.errors[:-1]])
        size = self.accepted - start
        share = (self.errors - before).double() / size
        position = torch.arange(1, self.images + 1) - start.repeat_interleave(size)
        return before.double().repeat_interleave(size) + share.repeat_interleave(size) * position


def risk_coverage(scores: Any, target: Any = None, *, level: float = 0.95, kind: str = "logits") -> RiskCoverage:
    """Return the risk-coverage curve: how many of the surest images are wrong, for every number of them.

    The confidence is the probability of the first guess. Images of one confidence are accepted together. An image whose
    scores are no numbers comes last, and is wrong.

    Shape:
        scores (N, C), target (N,).

    Args:
        scores: :class:`topk_lightning.Scores`, :class:`topk_lightning.decisions.ReviewMeter`, or an array (N, C) beside
            `target`.
        target: class of each image, beside an array.
        level: the probability of each interval of the band, on its own.
        kind: what an array holds: "logits" or "probabilities".

    Raises:
        ValueError: no target, shapes that do not match.

    Examples:
        Four images, from sure to unsure; the third is wrong: risks 0, 0, 1/3 and 1/4.

        >>> logits = torch.tensor([[4.0, 0.0], [3.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
        >>> curve = risk_coverage(logits, torch.tensor([0, 0, 1, 0]))
        >>> curve.risk
        tensor([0.0000, 0.0000, 0.3333, 0.2500], dtype=torch.float64)
        >>> round(curve.aurc, 4)  # 7/48
        0.1458
        >>> curve.accuracy(review=0.5)
        1.0

    Source: El-Yaniv and Wiener, On the foundations of noise-free selective classification, 2010; Geifman, Uziel and
    El-Yaniv, 2019, for the area.
    """
    check_level(level)
    if not isinstance(scores, ReviewMeter):
        scores = as_scores(scores, target, kind)
    seen, *_ = seen_of(scores, None, kind, None if isinstance(scores, ReviewMeter) else 1, "a risk-coverage curve")
    if not len(seen.first):
        raise InvalidValueError(must("scores", "hold at least one image", "none"))
    confidences, inverse, count = seen.first.neg().unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    wrong = torch.zeros_like(count).index_add(0, inverse, seen.wrong.long())
    accepted, errors = count.cumsum(0), wrong.cumsum(0)
    bounds = wilson_interval(errors.double() / accepted, accepted.double(), level)
    return RiskCoverage(-confidences, accepted, errors, len(seen.first), bounds[:, 0], bounds[:, 1])
