"""The adjustment of a trained model's logits for classes of unequal frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.losses import check_at_least_zero

__all__ = ["LogitAdjustment", "adjustment_of"]


@dataclass(frozen=True, eq=False)
class LogitAdjustment:
    """Adjust logits by the training images of each class; see :func:`topk_lightning.losses.adjust_logits`.

    Args:
        strength: above 0.
        class_counts: training images per class (C,).
    """

    strength: float
    class_counts: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the adjusted logits (N, C)."""
        from topk_lightning.losses import (
            adjust_logits,
        )  # brings torch's compiler along, which a prediction does not need

        return adjust_logits(logits, self.class_counts, self.strength)


def adjustment_of(
    strength: float,
    class_counts: Tensor | Sequence[int] | None,
    hyperparameters: Mapping[str, Any],
    training_data: Mapping[str, Any],
) -> LogitAdjustment | None:
    """Return the adjustment of a model; None at strength 0.

    Args:
        strength: at least 0.
        class_counts: training images per class; None: those that the checkpoint keeps.
        hyperparameters: the options of the TopKClassifier that the model was trained by.
        training_data: what the checkpoint keeps of its data.

    Raises:
        ValueError: counts that are not known, or a model whose training was adjusted already.
    """
    if check_at_least_zero("logit_adjustment", strength) == 0:
        return None
    if "LogitAdjusted" in str(hyperparameters.get("loss")):
        remedy = "The loss adjusted the training already: use the logits as they are."
        raise InvalidValueError(must("logit_adjustment", "be 0 for this model", strength, remedy))
    if class_counts is None:
        from topk_lightning.data import TrainingData

        class_counts = TrainingData.of(training_data).class_counts
    if class_counts is None:
        remedy = "Pass the training images of each class: TrainedModel.load(..., class_counts=[...])."
        raise InvalidValueError(must("class_counts", "be known for logit_adjustment", None, remedy))
    return LogitAdjustment(strength, torch.as_tensor(class_counts))
