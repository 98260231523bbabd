"""The grade of a classifier with the reason for it."""

from __future__ import annotations

from topk_lightning.metrics import ClassReport
from topk_lightning.metrics._judge import images_to_judge

__all__ = ["GRADES", "grade_in_words"]

#: What the grade of a class may be, best first.
GRADES = ("reliable", "fair", "struggling", "too few images", "no images")

_ACCURACY, _OF_CLASS = (0.90, 0.50), (0.85, 0.60)


def grade_in_words(report: ClassReport, accuracy: float) -> dict[str, str]:
    """Return the grade and its reason; classes that have too few images to be judged have no say in it."""
    grades = report.class_grades(reliable_class=_OF_CLASS[0], struggling_class=_OF_CLASS[1])
    judged = [grade for grade in grades if grade in GRADES[:3]]
    word = report.grade(
        reliable_accuracy=_ACCURACY[0],
        reliable_class=_OF_CLASS[0],
        struggling_accuracy=_ACCURACY[1],
        struggling_class=_OF_CLASS[1],
        min_images=images_to_judge(_OF_CLASS[1]),
    )
    weak = judged.count("struggling")
    if word == "reliable":
        reason = f"accuracy above {_ACCURACY[0]:.2f}"
        if judged:
            reason += f", precision and recall of {_classes(len(judged), len(judged))} above {_OF_CLASS[0]:.2f}"
    elif word == "struggling":
        low = f"accuracy of at most {_ACCURACY[1]:.2f}" if accuracy <= _ACCURACY[1] else ""
        below = f"precision or recall of {_classes(weak, len(judged))} below {_OF_CLASS[1]:.2f}" if weak else ""
        reason = " and ".join(part for part in (low, below) if part)
    else:
        reason = f"accuracy {accuracy:.3f}, where reliable begins above {_ACCURACY[0]:.2f} and struggling at {_ACCURACY[1]:.2f}"
        if judged:
            reason += f"; precision and recall of {_classes(len(judged), len(judged))} at least {_OF_CLASS[1]:.2f}"
    if not judged:
        reason += "; no class has enough images to be judged by itself"
    elif len(judged) < len(grades):
        few = len(grades) - len(judged)
        reason += f"; {few:,} {'class has' if few == 1 else 'classes have'} too few images to be judged"
    return {"word": word, "reason": reason}


def _classes(some: int, of: int) -> str:
    if of == 1:
        return "the one judged class"
    return f"all {of:,} judged classes" if some == of else f"{some:,} of {of:,} judged classes"
