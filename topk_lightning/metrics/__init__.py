"""Metrics: top-k accuracy, several at once, for rows with several right classes, class by class, calibration, and sets of classes."""

from topk_lightning.metrics.calibration import CalibrationError, ReliabilityCurve
from topk_lightning.metrics.class_counts import ClassCounts
from topk_lightning.metrics.class_report import ClassReport
from topk_lightning.metrics.hierarchy_levels import HierarchyLevels, LevelAccuracy, MistakeDistance, hierarchy_levels
from topk_lightning.metrics.intervals import wilson_interval
from topk_lightning.metrics.mean_divisor import loss_option, mean_divisor
from topk_lightning.metrics.mean_loss import MeanLoss
from topk_lightning.metrics.multilabel import MultilabelTopKAccuracy, multilabel_topk_accuracy
from topk_lightning.metrics.report_values import ConfusedPair, NearlyRight, TopKCurve
from topk_lightning.metrics.set_coverage import CoverageSummary, SetCoverage, SizeStratum
from topk_lightning.metrics.topk_accuracies import TopKAccuracies
from topk_lightning.metrics.topk_accuracy import TopKAccuracy, topk_accuracy

__all__ = [
    "CalibrationError",
    "ClassCounts",
    "ClassReport",
    "ConfusedPair",
    "CoverageSummary",
    "HierarchyLevels",
    "LevelAccuracy",
    "MeanLoss",
    "MistakeDistance",
    "MultilabelTopKAccuracy",
    "NearlyRight",
    "ReliabilityCurve",
    "SetCoverage",
    "SizeStratum",
    "TopKAccuracies",
    "TopKAccuracy",
    "TopKCurve",
    "hierarchy_levels",
    "loss_option",
    "mean_divisor",
    "multilabel_topk_accuracy",
    "topk_accuracy",
    "wilson_interval",
]
