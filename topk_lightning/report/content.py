"""What the page says: sentences and figures from what was measured, section by section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ClassReport, ReliabilityCurve
from topk_lightning.report.charts import accuracy_plot, calibration_plot, rank_plot, waffle
from topk_lightning.report.class_table import class_rows
from topk_lightning.report.evaluation import Evaluation
from topk_lightning.report.grade import GRADES, grade_in_words
from topk_lightning.report.group_rows import distance_rows, group_rows, level_rows
from topk_lightning.report.hard_images import confidently_wrong, hard_images, highest_loss
from topk_lightning.report.heat_map import MOST, HeatMap, heat_map, of_groups, of_worst_pairs
from topk_lightning.report.report_data import ReportData
from topk_lightning.report.subject import Subject
from topk_lightning.report.training_charts import training_plots

__all__ = ["Measured", "content_of"]

#: Guesses that the curve of accuracy shows.
CURVE = 20


@dataclass(frozen=True)
class Measured:
    """All that was measured; `trace` is where the table of epochs comes from, and the table."""

    subject: Subject
    source: ReportData
    names: Sequence[str]
    k: int
    report: ClassReport
    evaluation: Evaluation
    calibration: ReliabilityCurve
    scaled: ReliabilityCurve | None
    temperature: float | None
    train_accuracy: float | None
    levels: Mapping[str, Hierarchy]
    trace: tuple[str, Sequence[Mapping[str, Any]]]


def content_of(measured: Measured, hard: int, title: str | None) -> dict[str, Any]:
    """Return what the template needs."""
    report, evaluation, names, k = measured.report, measured.evaluation, measured.names, measured.k
    values, pairs = report.compute(), report.confusions()
    images = len(evaluation.target)
    content: dict[str, Any] = {
        "title": title or f"{measured.subject.kind} on {len(names):,} classes",
        "k": k,
        "grades": GRADES,
        **_opening(measured, values),
        **_ranks(measured, images),
        **_groups(measured, pairs),
        **_calibration(measured),
        **_mistakes(measured, pairs, values["support"]),
        **_hard(measured, hard),
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


def _opening(measured: Measured, values: Mapping[str, Tensor]) -> dict[str, Any]:
    report, k, total = measured.report, measured.k, len(measured.evaluation.target)
    curve = report.accuracy_curve()
    found = {int(one): (float(a), float(low), float(high)) for one, a, low, high in zip(*curve, strict=True)}
    hits = [round(found[one][0] * total) for one in (1, k)]
    among = f" Among its first {k} guesses it is there for {hits[1]:,} ({found[k][0]:.3f})." if k > 1 else ""
    tiles = [
        {
            "name": f"top-{one}",
            "value": found[one][0],
            "low": found[one][1],
            "high": found[one][2],
            "chance": one / len(measured.names),
            "note": f"chance {one / len(measured.names):.3f}",
        }
        for one in report.k
    ]
    finite = measured.evaluation.loss[~measured.evaluation.broken].double()
    small = [
        {"name": name, "value": value, "note": note}
        for name, value, note in (
            ("mean recall", float(values["macro_recall"]), "each class counts the same"),
            ("mean F1", float(values["macro_f1"]), "precision and recall, each class the same"),
            ("loss", float(finite.mean()), "mean −log probability of the true class"),
            ("calibration error", measured.calibration.error, "mean gap of confidence and accuracy"),
        )
    ]
    return {
        "lead": f"The first guess is right for {hits[0]:,} of {total:,} images ({found[1][0]:.3f}).{among}",
        "grade": grade_in_words(report, found[1][0]),
        "waffle": waffle(hits[0], hits[1], total, k),
        "tiles": tiles,
        "small_tiles": small,
        "findings": report.findings(
            train_accuracy=measured.train_accuracy,
            leaks=measured.source.leaks,
            groups=list(measured.levels.values())[-1] if measured.levels else None,
        ),
    }


def _ranks(measured: Measured, images: int) -> dict[str, Any]:
    histogram, classes = measured.report.rank_histogram().tolist(), len(measured.names)
    curve = measured.report.accuracy_curve(min(classes, max(CURVE, 2 * measured.k)))
    note = "The band holds the true accuracy at each k with 95 % confidence."
    reached, needed = 0, 0.95 * images
    for rank, count in enumerate(histogram[:-1]):
        reached += count
        if reached >= needed:
            note += (
                f" To find the right class for 95 of 100 images, {rank + 1:,} of the {classes:,} guesses are needed."
            )
            break
    near = f", blue nearly right (rank 2 to {measured.k})" if measured.k > 1 else ""
    behind = images - sum(histogram[: measured.k])
    return {
        "accuracy": accuracy_plot(curve, classes, measured.report.k),
        "accuracy_note": note,
        "ranks": rank_plot(histogram, measured.k),
        "ranks_note": f"Green is right at once{near}; for {behind:,} images the class stands further behind. Few of these "
        "mean that near classes are confused, many that something was not learned.",
    }


def _groups(measured: Measured, pairs: Tensor) -> dict[str, Any]:
    if not measured.levels:
        return {"levels": [], "group_tables": [], "distances": [], "levels_note": ""}
    nan_rows = int(measured.report.compute()["nan_rows"])
    levels, distances = level_rows(pairs, measured.levels, measured.names, nan_rows)
    level, coarsest = list(measured.levels.items())[-1]
    support = measured.report.compute()["support"]
    return {
        "levels": levels,
        "levels_note": "How often the first guess lies in the right group, from the classes themselves to coarser levels.",
        "distances": distance_rows(distances),
        "group_tables": [{"title": f"Accuracy by {level}", "rows": group_rows(pairs, support, coarsest)}],
    }


def _calibration(measured: Measured) -> dict[str, Any]:
    curve, scaled = measured.calibration, measured.scaled
    if not int(curve.count.sum()):
        return {"calibration": None, "calibration_notes": []}
    gap = curve.overconfidence
    what = "promises more than it keeps" if gap > 0 else "promises less than it keeps"
    notes = [
        "An image that is named with confidence 0.80 should be right in 80 of 100 cases: on the diagonal. Below it the "
        "classifier promises too much, above it too little. The bars are 95 % intervals.",
        f"Over all images its confidence is {abs(gap):.3f} {'above' if gap > 0 else 'below'} its accuracy: it {what}. "
        f"The expected calibration error is {curve.error:.3f}.",
    ]
    if scaled is not None:
        verdict = (
            "Dividing by it is worth while, and leaves the order of the guesses as it is."
            if scaled.error < curve.error
            else "It does not help here: what holds for the validation images does not hold for these."
        )
        notes.append(
            f"A temperature of {measured.temperature:.2f}, fitted on validation images only, gives an error of "
            f"{scaled.error:.3f} on these test images. {verdict}"
        )
    return {"calibration": calibration_plot(curve, scaled), "calibration_notes": notes}


def _mistakes(measured: Measured, pairs: Tensor, support: Tensor) -> dict[str, Any]:
    report, names = measured.report, measured.names
    confused = report.most_confused(40)
    heat: HeatMap | None
    if len(names) <= MOST:
        heat = heat_map(pairs, names, support)
    else:
        level, coarsest = list(measured.levels.items())[-1] if measured.levels else ("", None)
        few = float(support[support > 0].double().mean()) < 5
        if few and coarsest is not None and coarsest.num_groups <= MOST:
            heat = of_groups(pairs, support, coarsest, level)
        else:
            heat = of_worst_pairs(pairs, names, support, confused) if confused else None
    # A pair that occurred once is no pattern.
    shown = [pair for pair in confused[:12] if pair.total > 1]
    mistakes = int(pairs[pairs[:, 0] != pairs[:, 1], 2].sum())
    nearly = report.nearly_right(measured.k)[:10] if measured.k > 1 else []
    return {
        "confused": confused,
        "confused_note": f"{mistakes:,} images were taken for another class; they spread over "
        f"{int((pairs[:, 0] != pairs[:, 1]).sum()):,} ordered pairs of classes.",
        "heat": heat,
        "pairs": shown,
        "most_confused": max((pair.total for pair in shown), default=1),
        "nearly": [one for one in nearly if one.nearly > 1],
    }


def _hard(measured: Measured, count: int) -> dict[str, Any]:
    evaluation, images, names = measured.evaluation, measured.source.test, measured.names
    wrong = confidently_wrong(evaluation, count)
    lost = [index for index in highest_loss(evaluation, 2 * count) if index not in wrong][:count]
    broken = evaluation.broken.nonzero().flatten().tolist()
    return {
        "wrong_images": hard_images(evaluation, images, names, wrong),
        "lost_images": hard_images(evaluation, images, names, lost),
        "broken": [f"{images.name(index)} ({names[int(evaluation.target[index])]})" for index in broken],
        "broken_note": f"{len(broken):,} images have scores without a finite maximum (NaN or infinite). They have no "
        "probabilities, stand in no confusion, and count as misses where the score of their own class is NaN.",
    }


def _classes_note(support: Tensor, k: int) -> str:
    without = int((support == 0).sum())
    among = f" (top {k}: with the class among the first {k})" if k > 1 else ""
    note = (
        f"Recall: of the images of a class, the fraction named right{among}. "
        "Precision: of the images that were given the name, the fraction that bears it. Lowest recall first; the headings sort."
    )
    if without:
        note += f" {without:,} class{' has' if without == 1 else 'es have'} no test image, and so no recall."
    return note
