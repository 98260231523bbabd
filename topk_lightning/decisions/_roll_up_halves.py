"""The level one is sure of, fitted on one half of some images and measured on the other, over many draws of halves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning._checks.options import check_integer
from topk_lightning.decisions._binomial import check_inner
from topk_lightning.decisions._level_guesses import LevelGuesses
from topk_lightning.decisions._level_meter import LevelMeter
from topk_lightning.decisions._roll_up import fitted_threshold
from topk_lightning.decisions._roll_up_outcome import RollUpOutcome

__all__ = ["HalvesOutcome", "roll_up_on_halves"]


@dataclass(frozen=True)
class HalvesOutcome:
    """What fits on one half came to on the other.

    Attributes:
        draws: of halves.
        images: measured in each.
        answered: share of them with an answer, mean over the draws.
        right: share of all answers of all draws that are right; NaN without any.
        error: wrong answers as a share of all images, mean over the draws.
    """

    draws: int
    images: int
    answered: float
    right: float
    error: float


def roll_up_on_halves(
    meter: Any,
    *,
    target_error: float = 0.1,
    confidence: float = 0.95,
    draws: int = 100,
    generator: torch.Generator | None = None,
) -> HalvesOutcome:
    """Return what fits on a random half come to on the other half, where images of one kind are at hand.

    Fitted on images of another kind the same rule answers more or less: held against each other the two say how much of a
    result is due to the kind of the validation images.

    Args:
        meter: a :class:`topk_lightning.decisions.LevelMeter` that has seen the images.
        target_error: as for :func:`topk_lightning.decisions.roll_up`.
        confidence: as there.
        draws: how many.
        generator: of the halves; None: one with the seed 0.
    """
    if not isinstance(meter, LevelMeter):
        raise InvalidTypeError(must("meter", "be a LevelMeter", type(meter).__name__))
    check_inner("target_error", target_error)
    check_inner("confidence", confidence)
    check_integer("draws", draws)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    guesses, target = meter.compute()
    wrong, names = guesses.wrong(target, meter.levels), ("class", *meter.levels)
    half, outcomes = len(target) // 2, []
    for _ in range(draws):
        order = torch.randperm(len(target), generator=generator)
        first, second = order[:half], order[half:]
        fit = LevelGuesses(guesses.group[first], guesses.probability[first])
        threshold = fitted_threshold(fit, wrong[first], target_error, confidence)
        use = LevelGuesses(guesses.group[second], guesses.probability[second])
        outcomes.append(RollUpOutcome.of(names, use.level(threshold), wrong[second]))
    answered, right = sum(outcome.answered for outcome in outcomes), sum(outcome.right for outcome in outcomes)
    images = len(target) - half
    return HalvesOutcome(
        draws,
        images,
        answered / (draws * images) if images else float("nan"),
        right / answered if answered else float("nan"),
        (answered - right) / (draws * images) if images else float("nan"),
    )
