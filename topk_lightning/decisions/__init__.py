"""Decisions from scores: how many names to show, what a person must see, which model is better, which labels look wrong."""

from topk_lightning.decisions._average_k import average_k_accuracy
from topk_lightning.decisions._best_k import BestK, Costs, best_k
from topk_lightning.decisions._binomial import error_bound, least_images
from topk_lightning.decisions._calibrate import ScoresCalibration, calibrate_scores
from topk_lightning.decisions._class_list import ClassList
from topk_lightning.decisions._compare_scores import ScoresComparison, compare_scores
from topk_lightning.decisions._compare_seeds import ClassGain, SeedsComparison, compare_seeds
from topk_lightning.decisions._group_of_set import group_of_set
from topk_lightning.decisions._level_meter import LevelMeter
from topk_lightning.decisions._mcnemar import mcnemar
from topk_lightning.decisions._merging import MergePair, pairs_to_merge
from topk_lightning.decisions._paired import PairedComparison, compare_hits
from topk_lightning.decisions._prediction_sets import PredictionSets
from topk_lightning.decisions._quantile import fewest_images
from topk_lightning.decisions._review import ReviewPlan, review_plan
from topk_lightning.decisions._review_meter import ReviewMeter
from topk_lightning.decisions._review_outcome import PILES, ReviewOutcome
from topk_lightning.decisions._risk_coverage import RiskCoverage, risk_coverage
from topk_lightning.decisions._roll_up import RollUp, SureAnswer, roll_up
from topk_lightning.decisions._roll_up_halves import HalvesOutcome, roll_up_on_halves
from topk_lightning.decisions._roll_up_outcome import LevelAnswers, RollUpOutcome
from topk_lightning.decisions._seeds import SeedsDifference, difference_over_seeds
from topk_lightning.decisions._set_outcome import SetMeter, SetOutcome, coverage_band, measure_sets
from topk_lightning.decisions._set_sizes import SizeComparison
from topk_lightning.decisions._suspect_labels import (
    ConfidentJoint,
    SuspectLabels,
    confident_errors,
    confident_joint,
    suspect_labels,
)
from topk_lightning.decisions._topk import ClassComparison, compare_classes, compare_topk

__all__ = [
    "PILES",
    "BestK",
    "ClassComparison",
    "ClassGain",
    "ClassList",
    "ConfidentJoint",
    "Costs",
    "HalvesOutcome",
    "LevelAnswers",
    "LevelMeter",
    "MergePair",
    "PairedComparison",
    "PredictionSets",
    "ReviewMeter",
    "ReviewOutcome",
    "ReviewPlan",
    "RiskCoverage",
    "RollUp",
    "RollUpOutcome",
    "ScoresCalibration",
    "ScoresComparison",
    "SeedsComparison",
    "SeedsDifference",
    "SetMeter",
    "SetOutcome",
    "SizeComparison",
    "SureAnswer",
    "SuspectLabels",
    "average_k_accuracy",
    "best_k",
    "calibrate_scores",
    "compare_classes",
    "compare_hits",
    "compare_scores",
    "compare_seeds",
    "compare_topk",
    "confident_errors",
    "confident_joint",
    "coverage_band",
    "difference_over_seeds",
    "error_bound",
    "fewest_images",
    "group_of_set",
    "least_images",
    "mcnemar",
    "measure_sets",
    "pairs_to_merge",
    "review_plan",
    "risk_coverage",
    "roll_up",
    "roll_up_on_halves",
    "suspect_labels",
]
