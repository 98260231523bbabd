"""One record a loss: what the laws of `test_contract.py` need to know of it.

A loss joins by a :class:`LossCase` in a list CASES: here, or with its oracle in a file `cases_*.py` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from tests import oracles
from topk_lightning.losses import (
    CalibratedTopKHingeLoss,
    GroupedTopKCrossEntropyLoss,
    LogitAdjustedCrossEntropyLoss,
    NoisedTopKHingeLoss,
    SmoothTopKSVMLoss,
    TemperatureCrossEntropyLoss,
    TruncatedTopKEntropyLoss,
    calibrated_topk_hinge_loss,
    grouped_topk_cross_entropy_loss,
    logit_adjusted_cross_entropy_loss,
    noised_topk_hinge_loss,
    smooth_topk_svm_loss,
    temperature_cross_entropy_loss,
    truncated_topk_entropy_loss,
)
from topk_lightning.losses._base import ClassificationLoss

__all__ = ["CASES", "LossCase"]

LAWS = frozenset(
    {
        "permutation",  # renaming the classes renames the gradient, and changes nothing else, ties included
        "zero at k=C",  # a target that is always in the top k costs 0
        "at least 0",  # no loss is negative
        "second derivative",  # the loss has one, which gradgradcheck confirms; else asking for it is an error
    }
)
"""What only some formulas have; the other laws bind every loss."""


def class_counts(num_classes: int) -> list[int]:
    """Return 1 to 9 images of each class."""
    return [1 + (5 * c) % 9 for c in range(num_classes)]


@dataclass(frozen=True)
class LossCase:
    """A loss with the options under which the laws are tried.

    Args:
        name: shown by pytest.
        module: the class.
        function: the function that it must equal, called with `options`.
        oracle: the loss of one row in Python floats, ``oracle(scores, y, **options) -> float``.
        options: keyword options; a k must be 3 or less.
        hard: the loss of one row as temperature → 0, ``hard(scores, y, **options)``, where it has a temperature
            and a limit.
        lacks: those of `LAWS` that the formula does not have.
        atol: absolute tolerance against the oracle in float64.
    """

    name: str
    module: type[ClassificationLoss]
    function: Callable[..., torch.Tensor]
    oracle: Callable[..., float]
    options: dict[str, Any] = field(default_factory=dict)
    hard: Callable[..., float] | None = None
    lacks: frozenset[str] = frozenset()
    atol: float = 1e-12

    def __post_init__(self) -> None:
        """Refuse a misspelt law."""
        assert self.lacks <= LAWS, self.lacks - LAWS

    @property
    def smallest_number_of_classes(self) -> int:
        """The k that the options fix; 1 where k itself can be changed."""
        return len(self.options.get("k_probabilities", (1,)))

    def make(self, num_classes: int = 7, **changes: Any) -> ClassificationLoss:
        """Build the module with the case's options, for a number of classes where they depend on it."""
        return self.module(**self._options(num_classes, changes))

    def _options(self, num_classes: int, changes: dict[str, Any]) -> dict[str, Any]:
        counts = {"class_counts": class_counts(num_classes)} if "class_counts" in self.options else {}
        return {**self.options, **counts, **changes}

    def expected(self, logits: torch.Tensor, target: torch.Tensor, **changes: Any) -> torch.Tensor:
        """Return the oracle's value for each row of (N, C) logits and (N,) labels."""
        options = self._options(logits.shape[1], changes)
        rows = zip(logits.double().tolist(), target.tolist(), strict=True)
        return torch.tensor([self.oracle(scores, y, **options) for scores, y in rows], dtype=torch.float64)


CASES = [
    *(
        LossCase(
            f"temperature cross entropy, scale_loss={scale_loss}",
            TemperatureCrossEntropyLoss,
            temperature_cross_entropy_loss,
            oracles.temperature_cross_entropy,
            {"temperature": 0.7, "scale_loss": scale_loss},
            hard=oracles.largest_gap if scale_loss == "T" else None,
        )
        for scale_loss in ("none", "T", "T2")
    ),
    LossCase(
        "logit-adjusted cross entropy",
        LogitAdjustedCrossEntropyLoss,
        logit_adjusted_cross_entropy_loss,
        oracles.logit_adjusted_cross_entropy,
        {"class_counts": class_counts(7), "strength": 0.8},
        lacks=frozenset({"permutation"}),
    ),
    *(
        LossCase(
            f"smooth top-k SVM, units={units}",
            SmoothTopKSVMLoss,
            smooth_topk_svm_loss,
            oracles.smooth_topk_svm,
            {"k": 3, "temperature": 0.7, "margin": 0.5, "units": units},
            hard=oracles.svm_hinge,
            lacks=frozenset({"second derivative"}),
        )
        for units in ("logits", "published")
    ),
    LossCase(
        "truncated top-k entropy",
        TruncatedTopKEntropyLoss,
        truncated_topk_entropy_loss,
        oracles.truncated_topk_entropy,
        {"k": 3, "temperature": 0.7},
        hard=oracles.truncated_hinge,
        lacks=frozenset({"second derivative"}),
    ),
    LossCase(
        "grouped top-k cross entropy",
        GroupedTopKCrossEntropyLoss,
        grouped_topk_cross_entropy_loss,
        oracles.grouped_topk_cross_entropy,
        {"k": 3},
        lacks=frozenset({"second derivative"}),
    ),
    LossCase(
        "calibrated top-k hinge",
        CalibratedTopKHingeLoss,
        calibrated_topk_hinge_loss,
        oracles.calibrated_topk_hinge,
        {"k": 3},
    ),
    LossCase(
        "noised top-k hinge without noise",
        NoisedTopKHingeLoss,
        noised_topk_hinge_loss,
        oracles.calibrated_topk_hinge,
        {"k": 3, "noise": 0.0, "scale": 2.0},
    ),
]
