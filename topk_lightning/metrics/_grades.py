"""Grades of a classifier and of its classes."""

from __future__ import annotations

from dataclasses import dataclass

from topk_lightning._checks.options import check_fraction, check_integer
from topk_lightning.metrics._report_counts import ReportCounts

__all__ = ["GradeBounds", "grade", "grade_classes"]

_NOT_JUDGED = ("no images", "too few images")


@dataclass(frozen=True)
class GradeBounds:
    """The thresholds of :meth:`ClassReport.grade`."""

    reliable_accuracy: float
    reliable_class: float
    struggling_accuracy: float
    struggling_class: float
    min_images: int

    def __post_init__(self) -> None:
        for name in ("reliable_accuracy", "reliable_class", "struggling_accuracy", "struggling_class"):
            check_fraction(name, getattr(self, name))
        check_integer("min_images", self.min_images)


def grade_classes(counts: ReportCounts, bounds: GradeBounds) -> list[str]:
    """Return "reliable", "fair", "struggling", "too few images" or "no images" for each class."""
    numbers = (counts.support.tolist(), counts.predicted.tolist(), counts.within(1).tolist())
    return [_grade_class(*of_class, bounds) for of_class in zip(*numbers, strict=True)]


def _grade_class(images: int, predicted: int, right: int, bounds: GradeBounds) -> str:
    if images < bounds.min_images:
        return _NOT_JUDGED[images > 0]
    # Quotients of whole numbers, so that 17 of 20 is exactly 0.85. Never predicted, a class has recall 0 in any case.
    worst = min(right / images, right / max(1, predicted))
    if worst < bounds.struggling_class:
        return "struggling"
    return "reliable" if worst > bounds.reliable_class else "fair"


def grade(counts: ReportCounts, bounds: GradeBounds) -> str:
    """Return "reliable", "fair" or "struggling" for the classifier, by its accuracy and the classes that are judged."""
    accuracy = int(counts.histogram[0]) / int(counts.histogram.sum())
    grades = set(grade_classes(counts, bounds)).difference(_NOT_JUDGED)
    if accuracy <= bounds.struggling_accuracy or "struggling" in grades:
        return "struggling"
    return "reliable" if accuracy > bounds.reliable_accuracy and grades <= {"reliable"} else "fair"
