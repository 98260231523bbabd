"""Decisions from scores: whether one model is better than another."""

from topk_lightning.decisions._mcnemar import mcnemar
from topk_lightning.decisions._paired import PairedComparison, compare_hits
from topk_lightning.decisions._prediction_sets import PredictionSets
from topk_lightning.decisions._topk import ClassComparison, compare_classes, compare_topk

__all__ = [
    "ClassComparison",
    "PairedComparison",
    "PredictionSets",
    "compare_classes",
    "compare_hits",
    "compare_topk",
    "mcnemar",
]
