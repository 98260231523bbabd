"""Grades at the edges of their thresholds, exactly."""

from __future__ import annotations

import pytest
import torch

from tests.metrics.reports import ANIMALS, report_of


def of_counts(rows):
    return report_of(torch.tensor(rows))


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
    assert of_counts(table).grade() == expected


def test_an_accuracy_of_one_half_is_struggling_whatever_the_classes():
    assert of_counts([[50, 50], [50, 50]]).grade(struggling_class=0.0) == "struggling"
    assert of_counts([[51, 49], [50, 50]]).grade(struggling_class=0.0) == "fair"


def test_every_threshold_is_an_argument():
    report = report_of(ANIMALS)
    assert report.grade() == "fair"
    assert report.grade(reliable_accuracy=0.89) == "reliable"
    assert report.grade(reliable_accuracy=0.89, reliable_class=0.89) == "fair"
    assert report.grade(struggling_accuracy=0.90) == "struggling"
    assert report.grade(struggling_class=0.89) == "struggling"


def test_classes_with_few_images_have_no_say_where_asked():
    report = of_counts([[99, 0, 0], [0, 99, 0], [1, 0, 1]])
    assert report.grade() == "struggling"
    assert report.grade(min_images=3) == "reliable"
    assert report.grade(min_images=200) == "reliable"  # by the accuracy alone


def test_grades_of_classes():
    report = of_counts([[90, 0, 0, 0, 0], [0, 7, 3, 0, 0], [0, 0, 5, 5, 0], [0, 0, 0, 5, 0], [0, 0, 0, 0, 0]])
    assert report.class_grades() == ["reliable", "fair", "struggling", "too few images", "no images"]
    assert report.class_grades(min_images=1)[3] == "struggling"  # precision 5/10
    assert report.class_grades(min_images=1, reliable_class=0.5, struggling_class=0.5)[1:3] == ["reliable", "fair"]
