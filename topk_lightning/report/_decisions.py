"""Decisions from scores in a report: fitted on validation images, measured on the test in the same pass as all else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.decisions import (
    HalvesOutcome,
    LevelMeter,
    ReviewMeter,
    ReviewOutcome,
    ReviewPlan,
    RiskCoverage,
    RollUp,
    RollUpOutcome,
    review_plan,
    risk_coverage,
    roll_up,
    roll_up_on_halves,
)
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.prediction import Fitted

__all__ = ["Decided", "DecisionMeters"]

#: What the level one is sure of promises, and the draws of halves of the test.
SURE_ERROR, _DRAWS = 0.1, 100
#: Images whose halves are drawn; of more, those at even distances.
_MOST = 5000


@dataclass(frozen=True)
class Decided:
    """What decisions came to on a test.

    Args:
        curve: risk against coverage on the test; None where no image has a confidence.
        plan: fitted on validation images, or kept in the checkpoint; None without any.
        outcome: of the plan on the test.
        sure: the same of the level one is sure of; None without groups.
        sure_outcome: on the test.
        halves: the same rule fitted on halves of the test; None without groups.
    """

    curve: RiskCoverage | None = None
    plan: ReviewPlan | None = None
    outcome: ReviewOutcome | None = None
    sure: RollUp | None = None
    sure_outcome: RollUpOutcome | None = None
    halves: HalvesOutcome | None = None


class DecisionMeters:
    """Fit on validation images, and be updated with those of the test.

    Args:
        validation: logits and target of validation images; None: there are none.
        fitted: what the checkpoint keeps, which goes before a fit here.
        levels: groups of classes by the name of their level.
        class_names: names of the classes.
    """

    def __init__(
        self,
        validation: tuple[Tensor, Tensor] | None,
        fitted: Fitted,
        levels: Mapping[str, Hierarchy],
        class_names: list[str],
    ) -> None:
        self.plan, self.sure = fitted.plan, fitted.sure
        most = len(class_names)
        k = min(5, most) if self.plan is None else self.plan.k
        self._review = ReviewMeter(k)
        by_level: Mapping[str, Hierarchy] = levels if self.sure is None else self.sure.levels
        self._level = LevelMeter(by_level, class_names) if by_level else None
        if validation is None or not len(validation[1]):
            return
        validation = _plainly_logits(validation[0]), validation[1]
        if self.plan is None:
            self.plan = review_plan(_updated(ReviewMeter(k), validation))
        if self.sure is None and self._level is not None:
            meter = _updated(LevelMeter(by_level, class_names), validation)
            self.sure = roll_up(meter, target_error=SURE_ERROR)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Look at some test images."""
        logits = _plainly_logits(logits)
        self._review.update(logits, target)
        if self._level is not None:
            self._level.update(logits, target)

    def decided(self) -> Decided:
        """Return what it came to."""
        seen = self._review.compute()
        curve = risk_coverage(self._review) if bool((seen.first >= 0).any()) else None
        outcome = None if self.plan is None or curve is None else self.plan.outcome(self._review)
        if self._level is None or curve is None:
            return Decided(curve, self.plan, outcome)
        sure = None if self.sure is None else self.sure.outcome(self._level)
        error = SURE_ERROR if self.sure is None or not self.sure.images else self.sure.target_error
        halves = roll_up_on_halves(_thinned(self._level), target_error=error, draws=_DRAWS)
        return Decided(curve, self.plan, outcome, self.sure, sure, halves)


def _plainly_logits(logits: Tensor) -> Tensor:
    """Return log probabilities: of a few rows that happen to sum to 1 nobody is to say that they are no logits."""
    return logits.double().log_softmax(1)


def _updated(meter: ReviewMeter | LevelMeter, images: tuple[Tensor, Tensor]) -> ReviewMeter | LevelMeter:
    meter.update(*images)
    return meter


def _thinned(meter: LevelMeter) -> LevelMeter:
    """Return a meter of at most so many images that a hundred fits take a second."""
    guesses, target = meter.compute()
    if len(target) <= _MOST:
        return meter
    rows = torch.arange(_MOST) * len(target) // _MOST
    thin = LevelMeter(meter.levels, meter.class_names)
    thin.keep_rows(guesses, target, rows)
    return thin
