"""Grades at the edges of their thresholds, exactly."""

from __future__ import annotations

import pytest
import torch

from tests.metrics.reports import ANIMALS, report_of
from topk_lightning.findings import GradeThresholds, class_grades, grade
from topk_lightning.metrics import ClassReport


def of_counts(rows):
    return report_of(torch.tensor(rows))


def word(report, **thresholds):
    return str(grade(report, GradeThresholds(**thresholds)))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[91, 9], [9, 91]], "reliable"),  # accuracy, precision and recall 0.91
        ([[90, 10], [10, 90]], "fair"),  # accuracy 0.90 is not above it
        ([[850, 150], [0, 2000]], "fair"),  # recall 0.85 is not above it, accuracy 0.95
        ([[851, 149], [0, 2000]], "reliable"),
        ([[850, 0], [150, 2000]], "fair"),  # precision 0.85
        ([[60, 40], [40, 60]], "fair"),  # recall 0.60 is not below it
        ([[599, 401], [400, 600]], "struggling"),
        ([[600, 400], [401, 599]], "struggling"),
        ([[60, 0, 0], [39, 1000, 0], [2, 0, 1000]], "struggling"),  # precision 60/101
        ([[60, 0, 0], [38, 1000, 0], [2, 0, 1000]], "fair"),  # precision 60/100
        ([[10, 0, 0], [0, 20, 0], [0, 0, 0]], "reliable"),  # a class without images has no say
        ([[10, 0], [1, 0]], "struggling"),  # never predicted
    ],
)
def test_grade_of_the_classifier(table, expected):
    assert word(of_counts(table), min_images=1) == expected


def test_an_accuracy_of_one_half_is_struggling_whatever_the_classes():
    assert word(of_counts([[50, 50], [50, 50]]), struggling_class=0.0) == "struggling"
    assert word(of_counts([[51, 49], [50, 50]]), struggling_class=0.0) == "fair"


def test_every_threshold_is_an_argument():
    report = report_of(ANIMALS)
    assert word(report) == "fair"
    assert word(report, reliable_accuracy=0.89) == "reliable"
    assert word(report, reliable_accuracy=0.89, reliable_class=0.89) == "fair"
    assert word(report, struggling_accuracy=0.90) == "struggling"
    assert word(report, struggling_class=0.89) == "struggling"


def test_classes_with_few_images_have_no_say():
    report = of_counts([[99, 0, 0], [0, 99, 0], [1, 0, 1]])
    assert word(report, min_images=1) == "struggling"
    assert word(report) == "reliable"  # by default from 6 images on, as in class_grades
    assert word(report, min_images=3) == "reliable"
    assert word(report, min_images=200) == "reliable"  # by the accuracy alone


def test_grades_of_classes():
    report = of_counts([[90, 0, 0, 0, 0], [0, 7, 3, 0, 0], [0, 0, 5, 5, 0], [0, 0, 0, 5, 0], [0, 0, 0, 0, 0]])
    assert class_grades(report) == ["reliable", "fair", "struggling", "too few images", "no images"]
    assert class_grades(report, GradeThresholds(min_images=1))[3] == "struggling"  # precision 5/10
    assert class_grades(report, GradeThresholds(min_images=1, reliable_class=0.5, struggling_class=0.5))[1:3] == [
        "reliable",
        "fair",
    ]


def test_grades_say_why():
    def graded(matrix):
        report = ClassReport(2, k=1)
        for actual, row in enumerate(matrix):
            for predicted, count in enumerate(row):
                report.update(torch.eye(2)[predicted].expand(count, 2), torch.full((count,), actual))
        found = grade(report)
        return found.word, found.reason

    assert graded([[30, 1], [1, 30]]) == (
        "reliable", "accuracy above 0.90, precision and recall of all 2 judged classes above 0.85",
    )  # fmt: skip
    assert graded([[30, 8], [8, 30]]) == (
        "fair",
        f"accuracy {60 / 76:.3f}, where reliable begins above 0.90 and struggling at 0.50; "
        "precision and recall of all 2 judged classes at least 0.60",
    )
    assert graded([[90, 0], [8, 2]]) == ("struggling", "precision or recall of 1 of 2 judged classes below 0.60")
    assert graded([[5, 5], [6, 4]])[1].startswith("accuracy of at most 0.50 and precision or recall of all 2")
    assert graded([[30, 0], [0, 3]])[1] == (
        "accuracy above 0.90, precision and recall of the one judged class above 0.85; "
        "1 class has too few images to be judged"
    )
    assert graded([[3, 0], [1, 1]]) == (
        "fair",
        "accuracy 0.800, where reliable begins above 0.90 and struggling at 0.50; "
        "no class has enough images to be judged by itself",
    )
