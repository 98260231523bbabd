"""Losses for training by the k best guesses: each a function and its module, in a file of its own."""

from __future__ import annotations

from topk_lightning.losses.calibrated_topk_hinge import CalibratedTopKHingeLoss, calibrated_topk_hinge_loss
from topk_lightning.losses.grouped_topk_cross_entropy import (
    GroupedTopKCrossEntropyLoss,
    grouped_topk_cross_entropy_loss,
)
from topk_lightning.losses.logit_adjusted_cross_entropy import (
    LogitAdjustedCrossEntropyLoss,
    logit_adjusted_cross_entropy_loss,
)
from topk_lightning.losses.logit_adjustment import LogitAdjusted, adjust_logits
from topk_lightning.losses.noised_topk_hinge import NoisedTopKHingeLoss, imbalanced_margins, noised_topk_hinge_loss
from topk_lightning.losses.smooth_topk_svm import SmoothTopKSVMLoss, smooth_topk_svm_loss
from topk_lightning.losses.soft_topk import SoftTopKLoss, soft_topk_loss
from topk_lightning.losses.temperature_cross_entropy import TemperatureCrossEntropyLoss, temperature_cross_entropy_loss
from topk_lightning.losses.topk_cross_entropy import TopKCrossEntropyLoss, topk_cross_entropy_loss
from topk_lightning.losses.truncated_topk_entropy import TruncatedTopKEntropyLoss, truncated_topk_entropy_loss

__all__ = [
    "CalibratedTopKHingeLoss",
    "GroupedTopKCrossEntropyLoss",
    "LogitAdjusted",
    "LogitAdjustedCrossEntropyLoss",
    "NoisedTopKHingeLoss",
    "SmoothTopKSVMLoss",
    "SoftTopKLoss",
    "TemperatureCrossEntropyLoss",
    "TopKCrossEntropyLoss",
    "TruncatedTopKEntropyLoss",
    "adjust_logits",
    "calibrated_topk_hinge_loss",
    "grouped_topk_cross_entropy_loss",
    "imbalanced_margins",
    "logit_adjusted_cross_entropy_loss",
    "noised_topk_hinge_loss",
    "smooth_topk_svm_loss",
    "soft_topk_loss",
    "temperature_cross_entropy_loss",
    "topk_cross_entropy_loss",
    "truncated_topk_entropy_loss",
]
