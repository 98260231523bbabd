"""Grades of a classifier and of its classes, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from topk_lightning._checks.options import check_fraction, check_integer
from topk_lightning.findings._evidence import LOW_ACCURACY, LOW_RECALL, counts_of, images_to_judge
from topk_lightning.metrics import ClassCounts, ClassReport

__all__ = ["GRADES", "Grade", "GradeThresholds", "class_grades", "grade"]

#: What the grade of a class may be, best first.
GRADES = ("reliable", "fair", "struggling", "too few images", "no images")


@dataclass(frozen=True)
class GradeThresholds:
    """Hold where the grades begin.

    Args:
        reliable_accuracy: reliable is an accuracy above this,
        reliable_class: and every precision and every recall above this.
        struggling_accuracy: struggling is an accuracy of at most this,
        struggling_class: or any precision or recall below this.
        min_images: classes with fewer images have no say; a class without images never has. By default 6, from which on
            the 95 % interval of a faultless class clears 0.60 (for another `struggling_class`, the number that clears it).

    Raises:
        TypeError: if one is no number.
        ValueError: if one is no fraction, or `min_images` is below 1.
    """

    reliable_accuracy: float = 0.90
    reliable_class: float = 0.85
    struggling_accuracy: float = LOW_ACCURACY
    struggling_class: float = LOW_RECALL
    min_images: int | None = None

    def __post_init__(self) -> None:
        for name in ("reliable_accuracy", "reliable_class", "struggling_accuracy", "struggling_class"):
            check_fraction(name, getattr(self, name))
        if self.min_images is None:
            object.__setattr__(self, "min_images", images_to_judge(self.struggling_class, name="struggling_class"))
        check_integer("min_images", self.min_images)


@dataclass(frozen=True)
class Grade:
    """The grade of a classifier; `str` of it is the word.

    Attributes:
        word: "reliable", "fair" or "struggling".
        reason: the numbers that decided it, as a phrase.
    """

    word: str
    reason: str

    def __str__(self) -> str:
        return self.word


def grade(report: ClassReport, thresholds: GradeThresholds = GradeThresholds()) -> Grade:
    """Return the grade of a classifier, by its accuracy and by the classes that have enough images.

    Args:
        report: the counts of a test.
        thresholds: where the grades begin.

    Raises:
        ValueError: if nothing was seen.

    Examples:
        >>> import torch
        >>> report = ClassReport(2, k=1)
        >>> report.update(torch.eye(2).repeat(20, 1), torch.arange(2).repeat(20))
        >>> grade(report)
        Grade(word='reliable', reason='accuracy above 0.90, precision and recall of all 2
        judged classes above 0.85')
    """
    counts, bounds = counts_of(report), thresholds
    accuracy = int(counts.histogram[0]) / int(counts.histogram.sum())
    grades = _class_grades(counts, bounds)
    judged = [word for word in grades if word in GRADES[:3]]
    weak = judged.count("struggling")
    if accuracy <= bounds.struggling_accuracy or weak:
        low = f"accuracy of at most {bounds.struggling_accuracy:.2f}" if accuracy <= bounds.struggling_accuracy else ""
        classes = _classes(weak, len(judged))
        below = f"precision or recall of {classes} below {bounds.struggling_class:.2f}" if weak else ""
        word, reason = "struggling", " and ".join(part for part in (low, below) if part)
    elif accuracy > bounds.reliable_accuracy and set(judged) <= {"reliable"}:
        word, reason = "reliable", f"accuracy above {bounds.reliable_accuracy:.2f}"
        if judged:
            classes = _classes(len(judged), len(judged))
            reason += f", precision and recall of {classes} above {bounds.reliable_class:.2f}"
    else:
        begins = (
            f"reliable begins above {bounds.reliable_accuracy:.2f} and struggling at {bounds.struggling_accuracy:.2f}"
        )
        word, reason = "fair", f"accuracy {accuracy:.3f}, where {begins}"
        if judged:
            classes = _classes(len(judged), len(judged))
            reason += f"; precision and recall of {classes} at least {bounds.struggling_class:.2f}"
    few = len(grades) - len(judged)
    if not judged:
        reason += "; no class has enough images to be judged by itself"
    elif few:
        reason += f"; {few:,} {'class has' if few == 1 else 'classes have'} too few images to be judged"
    return Grade(word, reason)


def class_grades(report: ClassReport, thresholds: GradeThresholds = GradeThresholds()) -> list[str]:
    """Return "reliable", "fair", "struggling", "too few images" or "no images" for each class.

    Args:
        report: the counts of a test.
        thresholds: where the grades begin; those of the accuracy have no part in it.
    """
    return _class_grades(report.counts(), thresholds)


def _class_grades(counts: ClassCounts, thresholds: GradeThresholds) -> list[str]:
    numbers = (counts.support.tolist(), counts.predicted.tolist(), counts.within(1).tolist())
    return [_grade_class(*of_class, thresholds) for of_class in zip(*numbers, strict=True)]


def _grade_class(images: int, predicted: int, right: int, thresholds: GradeThresholds) -> str:
    if images < (thresholds.min_images or 1):
        return "too few images" if images else "no images"
    # Quotients of whole numbers, so that 17 of 20 is exactly 0.85. Never predicted, a class has recall 0 in any case.
    worst = min(right / images, right / max(1, predicted))
    if worst < thresholds.struggling_class:
        return "struggling"
    return "reliable" if worst > thresholds.reliable_class else "fair"


def _classes(some: int, of: int) -> str:
    if of == 1:
        return "the one judged class"
    return f"all {of:,} judged classes" if some == of else f"{some:,} of {of:,} judged classes"
