"""What is passed to findings and grades wrongly gets one sentence."""

from __future__ import annotations

import re

import pytest

from tests.metrics.reports import ANIMALS, report_of
from topk_lightning.findings import GradeThresholds, findings, grade
from topk_lightning.metrics import ClassReport

FILLED = report_of(ANIMALS)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: grade(ClassReport(3, 1)),
            ValueError,
            "the report must have seen at least one image, got none. Call update, or look at the test set.",
        ),
        (
            lambda: findings(ClassReport(3, 1)),
            ValueError,
            "the report must have seen at least one image, got none. Call update, or look at the test set.",
        ),
        (
            lambda: GradeThresholds(reliable_class=85),
            ValueError,
            "reliable_class must be a fraction in [0, 1], got 85.",
        ),
        (lambda: GradeThresholds(min_images=0), ValueError, "min_images must be at least 1, got 0."),
        (
            lambda: GradeThresholds(struggling_class=1.0),
            ValueError,
            "struggling_class must be below 1, which no interval lies above, got 1.0.",
        ),
        (
            lambda: findings(FILLED, train_accuracy=98),
            ValueError,
            "train_accuracy must be a fraction in [0, 1], got 98.",
        ),
        (lambda: findings(FILLED, groups=["pet", "pet"]), ValueError, "groups must hold 3 groups, one a class, got 2."),
        (lambda: findings(FILLED, level=0), ValueError, "level must lie between 0 and 1, got 0. Did you mean 0.95?"),
        (
            lambda: findings(FILLED, overfiting_gap=0.1),
            TypeError,
            "a threshold must be one of suspect_probability, merge_gain, dominant_share, dominant_excess, low_recall, high_accuracy, neighbour_share, confused_accuracy, low_accuracy, "
            "overfitting_gap, got overfiting_gap.",
        ),
    ],
)
def test_every_mistake_gets_its_sentence(call, error, sentence):
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        call()
