"""What each section of the page says: sentences and figures from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from topk_lightning.report.charts import accuracy_plot, calibration_plot, rank_plot, waffle
from topk_lightning.report.grade import grade_in_words
from topk_lightning.report.group_rows import distance_rows, group_rows, level_rows
from topk_lightning.report.hard_images import confidently_wrong, hard_images, highest_loss
from topk_lightning.report.heat_map import MOST, HeatMap, heat_map, of_groups, of_worst_pairs
from topk_lightning.report.measured import Measured

__all__ = ["calibration", "groups", "hard", "mistakes", "opening", "ranks"]

#: Guesses that the curve of accuracy shows.
CURVE = 20


def opening(measured: Measured, values: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the head of the page: its sentence, the grade, a hundred dots, findings and tiles."""
    report, k, total = measured.report, measured.k, len(measured.evaluation.target)
    curve = (part.tolist() for part in report.accuracy_curve(max(report.k)))
    found = {one: tuple(interval) for one, *interval in zip(*curve, strict=True)}
    histogram = report.rank_histogram().tolist()
    first, within = histogram[0], sum(histogram[:k])
    among = f" Among its first {k} guesses it is there for {within:,} ({found[k][0]:.3f})." if k > 1 else ""
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
        "lead": f"The first guess is right for {first:,} of {total:,} images ({found[1][0]:.3f}).{among}",
        "grade": grade_in_words(report, found[1][0]),
        "waffle": waffle(first, within, total, k),
        "tiles": tiles,
        "small_tiles": small,
        "findings": report.findings(
            train_accuracy=measured.train_accuracy,
            val_accuracy=measured.val_accuracy,
            leaks=measured.source.leaks,
            groups=list(measured.levels.values())[-1] if measured.levels else None,
        ),
    }


def ranks(measured: Measured, images: int) -> dict[str, Any]:
    """Return the curve of accuracy against k and the histogram of ranks, each with a remark."""
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


def groups(measured: Measured, pairs: Tensor, values: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the accuracy at each level, the distances of the mistakes, and the groups of the coarsest level."""
    if not measured.levels:
        return {"levels": [], "group_tables": [], "distances": [], "levels_note": ""}
    levels, distances = level_rows(pairs, measured.levels, measured.names, int(values["nan_rows"]))
    level, coarsest = list(measured.levels.items())[-1]
    return {
        "levels": levels,
        "levels_note": "How often the first guess lies in the right group, from the classes themselves to coarser levels.",
        "distances": distance_rows(distances),
        "group_tables": [{"title": f"Accuracy by {level}", "rows": group_rows(pairs, values["support"], coarsest)}],
    }


def calibration(measured: Measured) -> dict[str, Any]:
    """Return the reliability diagram and what it says; None where no image has a confidence."""
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


def mistakes(measured: Measured, pairs: Tensor, support: Tensor) -> dict[str, Any]:
    """Return the heat map, the pairs that are taken for each other, and what is nearly right."""
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


def hard(measured: Measured, count: int) -> dict[str, Any]:
    """Return the hardest images, and the names of those whose scores are not finite."""
    evaluation, images, names = measured.evaluation, measured.source.test, measured.names
    wrong = confidently_wrong(evaluation, count)
    lost = [index for index in highest_loss(evaluation, 2 * count) if index not in wrong][:count]
    broken = evaluation.broken.nonzero().flatten().tolist()
    return {
        "wrong_images": hard_images(evaluation, images, names, wrong),
        "lost_images": hard_images(evaluation, images, names, lost),
        "broken": [f"{images.name(index)} ({names[int(evaluation.target[index])]})" for index in broken],
        "broken_note": f"{len(broken):,} {'image has' if len(broken) == 1 else 'images have'} scores without a finite "
        "maximum (NaN or infinite), and so no probabilities. Where a score is NaN there is no first guess: a miss, and no "
        "confusion. Where it is the score of the true class, it is a miss at every k.",
    }
