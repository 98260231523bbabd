"""Two models by their stored scores: the same images found by their names, and all that is said of the pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must, shown
from topk_lightning._checks.options import check_ks
from topk_lightning.decisions._paired import PairedComparison, compare_hits
from topk_lightning.decisions._topk import ClassComparison, classes_of_hits
from topk_lightning.metrics import CalibrationError
from topk_lightning.scores import Scores

__all__ = ["ScoresComparison", "compare_scores"]


@dataclass(frozen=True, eq=False)
class ScoresComparison:
    """How a second model does beside a first one on the same images.

    Attributes:
        images: number of images N, in the order of the first.
        by_k: the comparison at each k.
        classes: that of each class at the smallest k, the clearest difference first, corrected for their number.
        calibration: calibration error of both; None where the k best classes alone are known.
        class_names: of the classes.
        ids: what the images are called.
    """

    images: int
    by_k: dict[int, PairedComparison]
    classes: list[ClassComparison]
    calibration: tuple[float, float] | None
    class_names: list[str]
    ids: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for a JSON file; the images won and lost by their names."""
        by_k = [{"k": k, **self._values(one)} for k, one in self.by_k.items()]
        classes = [
            {"class": self.class_names[one.index], "adjusted_p": one.adjusted_p, **self._values(one.comparison)}
            for one in self.classes
        ]
        errors = None if self.calibration is None else dict(zip(("first", "second"), self.calibration, strict=True))
        return {
            "schema_version": 1,
            "images": self.images,
            "topk": by_k,
            "calibration_error": errors,
            "classes": classes,
        }

    def _values(self, one: PairedComparison) -> dict[str, Any]:
        return {
            "images": one.images,
            **{name: getattr(one, name) for name in ("first", "second", "difference", "low", "high", "level")},
            **{name: getattr(one, name) for name in ("margin", "equivalent", "verdict")},
            "p_mid": one.test.mid_p,
            "p_exact": one.test.exact,
            "won": [self.ids[row] for row in one.won.tolist()],
            "lost": [self.ids[row] for row in one.lost.tolist()],
        }


def compare_scores(
    first: Scores,
    second: Scores,
    k: int | Sequence[int] | None = None,
    *,
    level: float = 0.95,
    margin: float | None = None,
) -> ScoresComparison:
    """Return how a second model does beside a first one, from stored scores of any framework.

    Images are found by their names where both have them, classes by theirs; otherwise rows and columns must agree.

    Args:
        first: scores of the first model.
        second: scores of the second, logits or probabilities whatever the first are.
        k: as in :func:`compare_topk`.
        level: the probability of each interval on its own.
        margin: the difference up to which the models count as equally good; see :func:`compare_hits`.

    Raises:
        ValueError: other images, classes or targets, no or no single target, weights of samples, k > C.

    Examples:
        >>> target = torch.arange(6)
        >>> second = Scores(torch.eye(6), target, kind="logits")
        >>> compare_scores(Scores(torch.eye(6).roll(1, 0), target, kind="logits"), second, k=1).by_k[1].verdict
        'better'
    """
    for name, scores in (("first", first), ("second", second)):
        scores.labels("a comparison")
        if scores.sample_weight is not None:
            wanted = "count all images alike for a comparison"
            raise InvalidValueError(must(name, wanted, "weights of samples"))
    rows = _same_images(first, second)
    _check_same_classes(first, second, rows)
    ks = [number for number in (1, 5) if number <= first.num_classes] if k is None else check_ks(k, first.num_classes)
    for scores in (first, second):
        if scores.best is not None and max(ks) > scores.best.shape[1]:
            scores.check_whole(f"k = {max(ks)}")
    ranks = first.target_ranks(), second.target_ranks()[rows]
    hits = {number: (ranks[0] < number, ranks[1] < number) for number in ks}
    by_k = {number: compare_hits(*pair, level=level, margin=margin) for number, pair in hits.items()}
    classes = classes_of_hits(*hits[min(ks)], first.labels(), level)
    ids = first.ids or [str(row) for row in range(len(first))]
    calibration = None if first.best is not None or second.best is not None else (_error(first), _error(second))
    return ScoresComparison(len(first), by_k, classes, calibration, first.names, ids)


def _error(scores: Scores) -> float:
    metric, labels = CalibrationError(), scores.labels()
    for block in scores.blocks():
        metric.update(block.logits, labels[block.start : block.start + len(block)])
    return metric.curve().error


def _same_images(first: Scores, second: Scores) -> Tensor:
    """Return the row of the second for each image of the first."""
    if len(first) != len(second):
        raise InvalidValueError(must("second", f"hold the {len(first):,} images of first", f"{len(second):,}"))
    if first.ids is None or second.ids is None:
        return torch.arange(len(first))
    row_of = {name: row for row, name in enumerate(second.ids)}
    missing = [name for name in first.ids if name not in row_of]
    if missing:
        raise InvalidValueError(must("second", "hold the images of first", f"none called {shown(missing[0])}"))
    return torch.tensor([row_of[name] for name in first.ids])


def _check_same_classes(first: Scores, second: Scores, rows: Tensor) -> None:
    """Raise unless the images have the same classes, by name where both models name them."""
    if first.num_classes != second.num_classes:
        wanted = f"have the {first.num_classes:,} classes of first"
        raise InvalidValueError(must("second", wanted, f"{second.num_classes:,}"))
    theirs = second.labels()[rows]
    if first.class_names and second.class_names and first.class_names != second.class_names:
        unknown = set(second.class_names) - set(first.class_names)
        if unknown:
            raise InvalidValueError(must("second", "have the classes of first", f"one called {shown(min(unknown))}"))
        index = {name: number for number, name in enumerate(first.class_names)}
        theirs = torch.tensor([index[name] for name in second.class_names])[theirs]
    different = int((first.labels() != theirs).sum())
    if different:
        remedy = "Were they stored in another order?" if first.ids is None or second.ids is None else ""
        raise InvalidValueError(
            must("target", "be the same for both models", f"{different:,} images of another class", remedy)
        )
