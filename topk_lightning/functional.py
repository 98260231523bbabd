"""Every function of the library on one page: ranking, metrics, losses and relaxations."""

from __future__ import annotations

from topk_lightning.feature_ranks import target_rank_from_features
from topk_lightning.hierarchy import coarsen_logits, coarsen_target
from topk_lightning.losses import (
    adjust_logits,
    calibrated_topk_hinge_loss,
    grouped_topk_cross_entropy_loss,
    imbalanced_margins,
    logit_adjusted_cross_entropy_loss,
    noised_topk_hinge_loss,
    smooth_topk_svm_loss,
    soft_topk_loss,
    temperature_cross_entropy_loss,
    topk_cross_entropy_loss,
    truncated_topk_entropy_loss,
)
from topk_lightning.metrics import multilabel_topk_accuracy, topk_accuracy
from topk_lightning.ranking import in_topk, target_rank, topk_indices
from topk_lightning.relaxations import neuralsort, soft_topk_mask, softsort

__all__ = [
    "adjust_logits",
    "calibrated_topk_hinge_loss",
    "coarsen_logits",
    "coarsen_target",
    "grouped_topk_cross_entropy_loss",
    "imbalanced_margins",
    "in_topk",
    "logit_adjusted_cross_entropy_loss",
    "multilabel_topk_accuracy",
    "neuralsort",
    "noised_topk_hinge_loss",
    "smooth_topk_svm_loss",
    "soft_topk_loss",
    "soft_topk_mask",
    "softsort",
    "target_rank",
    "target_rank_from_features",
    "temperature_cross_entropy_loss",
    "topk_accuracy",
    "topk_cross_entropy_loss",
    "topk_indices",
    "truncated_topk_entropy_loss",
]
