"""Findings: what a test shows that is worth a sentence, and the grade of a classifier.

One file a finding, with its rule, its thresholds and its sentence.
"""

from topk_lightning.findings._evidence import ClassRecall
from topk_lightning.findings._find import findings
from topk_lightning.findings._finding import Finding
from topk_lightning.findings.classes_to_merge import ClassesToMerge
from topk_lightning.findings.dominant_class import DominantClass
from topk_lightning.findings.grades import GRADES, Grade, GradeThresholds, class_grades, grade
from topk_lightning.findings.leakage import Leakage
from topk_lightning.findings.low_recall import AccuracyParadox, LowRecall
from topk_lightning.findings.nan_scores import NanScores
from topk_lightning.findings.near_misses import ConfusesNeighbours, Misses, NotLearned
from topk_lightning.findings.never_predicted import NeverPredicted
from topk_lightning.findings.overfitting import Overfitting
from topk_lightning.findings.probabilities_as_logits import ProbabilitiesAsLogits
from topk_lightning.findings.too_few_images import TooFewImages
from topk_lightning.findings.trained_on import TrainedOn
from topk_lightning.findings.unreadable_images import UnreadableImages
from topk_lightning.findings.wrong_labels import SuspectLabel, WrongLabels

__all__ = [
    "GRADES",
    "AccuracyParadox",
    "ClassRecall",
    "ClassesToMerge",
    "ConfusesNeighbours",
    "DominantClass",
    "Finding",
    "Grade",
    "GradeThresholds",
    "Leakage",
    "LowRecall",
    "Misses",
    "NanScores",
    "NeverPredicted",
    "NotLearned",
    "Overfitting",
    "ProbabilitiesAsLogits",
    "SuspectLabel",
    "TooFewImages",
    "TrainedOn",
    "UnreadableImages",
    "WrongLabels",
    "class_grades",
    "findings",
    "grade",
]
