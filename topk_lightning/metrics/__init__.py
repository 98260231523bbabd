"""Metrics: top-k accuracy, several at once, and for rows with several right classes."""

from topk_lightning.metrics.multilabel import MultilabelTopKAccuracy, multilabel_topk_accuracy
from topk_lightning.metrics.topk_accuracies import TopKAccuracies, topk_accuracies
from topk_lightning.metrics.topk_accuracy import TopKAccuracy, topk_accuracy

__all__ = [
    "MultilabelTopKAccuracy",
    "TopKAccuracies",
    "TopKAccuracy",
    "multilabel_topk_accuracy",
    "topk_accuracies",
    "topk_accuracy",
]
