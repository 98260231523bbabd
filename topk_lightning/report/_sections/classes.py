"""The table of classes: recall, precision, F1, what each is taken for, and its grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from topk_lightning.findings import GRADES, class_grades
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "class_rows", "section"]

ORDER = 70

#: Rows of the table: with more, a browser takes seconds to show it.
_MOST = 3000

_FIELDS = ("images", "recall", "recall_topk", "precision", "f1")


@dataclass(frozen=True)
class ClassRow:
    """A class: its index and name, its numbers (NaN where undefined), what it is taken for most often, and its grade."""

    index: int
    name: str
    images: int
    recall: float
    recall_topk: float
    precision: float
    f1: float
    taken_for: str
    taken: int
    grade: str


def section(results: Results) -> Section:
    """Return the table, with its headings and a remark."""
    values, k = results.values, results.k
    rows = class_rows(values, results.pairs, results.class_names, class_grades(results.report), k)
    headings = [
        # the text, "t" for a column of text, and whether the rows are in its order
        ("Class", "t", False),
        ("Images", "", False),
        ("Recall", "", True),
        *([(f"Top {k}", "", False)] if k > 1 else []),
        ("Precision", "", False),
        ("F1", "", False),
        ("Most often taken for", "t", False),
        ("Grade", "t", False),
    ]
    data = {"k": k, "note": _note(values["support"], k), "headings": headings, "rows": rows[:_MOST], "grades": GRADES}
    return Section("Classes", data, {"classes": rows})


def _note(support: Tensor, k: int) -> str:
    without, classes = int((support == 0).sum()), len(support)
    among = f" (top {k}: with the class among the first {k})" if k > 1 else ""
    note = (
        f"Recall: of the images of a class, the fraction named right{among}. "
        "Precision: of the images that were given the name, the fraction that bears it. Lowest recall first; the headings sort."
    )
    if classes > _MOST:
        note += f" Of {classes:,} classes the {_MOST:,} with the lowest recall are listed."
    if without:
        note += f" {without:,} class{' has' if without == 1 else 'es have'} no test image, and so no recall."
    return note


def class_rows(
    values: Mapping[str, Tensor], pairs: Tensor, names: Sequence[str], grades: Sequence[str], k: int
) -> list[ClassRow]:
    """Return the rows, lowest recall first; of equal ones the class with more images first, then by index.

    Of more than 3,000 classes those with the lowest recall are returned.

    Args:
        values: as ClassReport computes them.
        pairs: actual class, predicted class and count of every pair that occurs, in order (M, 3).
        names: of the classes.
        grades: of the classes.
        k: which recall within the k best to show.
    """
    worst: dict[
        int, tuple[int, int]
    ] = {}  # predicted class and count of the most frequent mistake, the first of equals
    for actual, predicted, count in pairs[pairs[:, 0] != pairs[:, 1]].tolist():
        if count > worst.get(actual, (0, 0))[1]:
            worst[actual] = predicted, count
    columns = ("support", "recall", f"recall_top{k}", "precision", "f1")
    rows = []
    for index, of_class in enumerate(zip(*(values[column].tolist() for column in columns), strict=True)):
        predicted, count = worst.get(index, (0, 0))
        rows.append(
            ClassRow(
                index=index,
                name=names[index],
                **dict(zip(_FIELDS, of_class, strict=True)),
                taken_for=names[predicted] if count else "",
                taken=count,
                grade=grades[index],
            )
        )
    return sorted(rows, key=lambda row: (row.images == 0, row.recall if row.images else 0, -row.images))
