"""What the page says, from beginning to end."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from topk_lightning.epoch_table.charts import training_plots
from topk_lightning.report.class_table import MOST, class_rows
from topk_lightning.report.grade import GRADES
from topk_lightning.report.measured import Measured
from topk_lightning.report.sections import calibration, groups, hard, mistakes, opening, ranks

__all__ = ["content_of"]


def content_of(measured: Measured, count: int, title: str | None) -> dict[str, Any]:
    """Return what the template needs."""
    report, evaluation, names, k = measured.report, measured.evaluation, measured.names, measured.k
    values, pairs = report.compute(), report.confusions()
    images = len(evaluation.target)
    content: dict[str, Any] = {
        "title": title or f"{measured.subject.kind} on {len(names):,} classes",
        "k": k,
        "grades": GRADES,
        **opening(measured, values),
        **ranks(measured, images),
        **groups(measured, pairs, values),
        **calibration(measured),
        **mistakes(measured, pairs, values["support"]),
        **hard(measured, count),
        "rows": class_rows(values, pairs, names, report.class_grades(), k),
        "columns": [
            ("Class", "t", False),
            ("Images", "", False),
            ("Recall", "", True),
            *([(f"Top {k}", "", False)] if k > 1 else []),
            ("Precision", "", False),
            ("F1", "", False),
            ("Most often taken for", "t", False),
            ("Grade", "t", False),
        ],
        "classes_note": _classes_note(values["support"], k),
        "training": training_plots(measured.trace[1]),
        "training_note": f"From the table of epochs in {measured.trace[0]}.",
        "facts": [*measured.subject.facts, ("Data", measured.source.description)],
    }
    content["sections"] = [
        ("findings", "Findings"),
        ("numbers", "Numbers"),
        *([("groups", "Groups")] if content["levels"] else []),
        ("calibration", "Calibration"),
        ("mistakes", "Mistakes"),
        ("hard", "Hard images"),
        ("classes", "Classes"),
        *([("training", "Training")] if content["training"] else []),
        ("made", "How it was made"),
    ]
    return content


def _classes_note(support: Tensor, k: int) -> str:
    without, classes = int((support == 0).sum()), len(support)
    among = f" (top {k}: with the class among the first {k})" if k > 1 else ""
    note = (
        f"Recall: of the images of a class, the fraction named right{among}. "
        "Precision: of the images that were given the name, the fraction that bears it. Lowest recall first; the headings sort."
    )
    if classes > MOST:
        note += f" Of {classes:,} classes the {MOST:,} with the lowest recall are listed."
    if without:
        note += f" {without:,} class{' has' if without == 1 else 'es have'} no test image, and so no recall."
    return note
