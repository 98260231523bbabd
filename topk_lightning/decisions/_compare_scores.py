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
from topk_lightning.decisions._quantile import check_coverage
from topk_lightning.decisions._set_sizes import SizeComparison, compare_sizes
from topk_lightning.decisions._topk import ClassComparison, classes_of_hits
from topk_lightning.metrics import CalibrationError, ReliabilityCurve
from topk_lightning.scores import Scores

__all__ = ["ScoresComparison", "check_same_classes", "compare_scores", "same_images"]


@dataclass(frozen=True, eq=False)
class ScoresComparison:
    """How a second model does beside a first one on the same images.

    Attributes:
        images: number of images N, in the order of the first.
        by_k: the comparison at each k.
        classes: that of each class at the smallest k, the clearest difference first, corrected for their number.
        calibration: confidence and accuracy of both; None where the k best classes alone are known.
        sizes: names that both must show for the same coverage; None as above.
        hits: by k, whether each model is right about each image, (N,) and (N,).
        class_names: of the classes.
        ids: what the images are called.
    """

    images: int
    by_k: dict[int, PairedComparison]
    classes: list[ClassComparison]
    calibration: tuple[ReliabilityCurve, ReliabilityCurve] | None
    sizes: SizeComparison | None
    hits: dict[int, tuple[Tensor, Tensor]]
    class_names: list[str]
    ids: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for a JSON file; the images won and lost by their names."""
        by_k = [{"k": k, **self._values(of_k)} for k, of_k in self.by_k.items()]
        classes = [
            {
                "class": self.class_names[of_class.index],
                "adjusted_p": of_class.adjusted_p,
                **self._values(of_class.comparison),
            }
            for of_class in self.classes
        ]
        curves = self.calibration and dict(zip(("first", "second"), map(_errors, self.calibration), strict=True))
        return {"images": self.images, "topk": by_k, "classes": classes, "calibration": curves, "sets": self._sets()}

    def _sets(self) -> dict[str, Any] | None:
        sizes = self.sizes
        if sizes is None:
            return None
        pairs = {"coverage": sizes.coverage, "mean_size": sizes.mean, "median_size": sizes.median}
        sides = [{name: pair[side] for name, pair in pairs.items()} for side in (0, 1)]
        numbers = {name: getattr(sizes, name) for name in ("difference", "low", "high")}
        return {"promise": sizes.promise, "first": sides[0], "second": sides[1], **numbers}

    def _values(self, of_k: PairedComparison) -> dict[str, Any]:
        return {
            "images": of_k.images,
            **{name: getattr(of_k, name) for name in ("first", "second", "difference", "low", "high", "level")},
            **{name: getattr(of_k, name) for name in ("margin", "equivalent", "verdict")},
            "p_mid": of_k.test.mid_p,
            "p_exact": of_k.test.exact,
            "won": [self.ids[row] for row in of_k.won.tolist()],
            "lost": [self.ids[row] for row in of_k.lost.tolist()],
        }


def compare_scores(
    first: Scores,
    second: Scores,
    k: int | Sequence[int] | None = None,
    *,
    level: float = 0.95,
    margin: float | None = None,
    coverage: float = 0.9,
) -> ScoresComparison:
    """Return how a second model does beside a first one, from stored scores of any framework.

    Images are found by their names where both have them, classes by theirs; otherwise rows and columns must agree.

    Args:
        first: scores of the first model.
        second: scores of the second, logits or probabilities whatever the first are.
        k: as in :func:`compare_topk`.
        level: the probability of each interval on its own.
        margin: the difference up to which the models count as equally good; see :func:`compare_hits`.
        coverage: how often the right name shall be in the prediction sets whose sizes are compared.

    Raises:
        ValueError: other images, classes or targets, no or no single target, weights of samples, k > C, scores of another
            kind than is said.

    Examples:
        >>> target = torch.arange(6)
        >>> second = Scores(torch.eye(6), target, kind="logits")
        >>> first = Scores(torch.eye(6).roll(1, 0), target, kind="logits")
        >>> compare_scores(first, second, k=1).by_k[1].verdict
        'better'
    """
    check_coverage(coverage)
    for name, scores in (("first", first), ("second", second)):
        scores.labels("a comparison")
        if scores.sample_weight is not None:
            wanted = "count all images alike for a comparison"
            raise InvalidValueError(must(name, wanted, "weights of samples"))
    rows = same_images(first, second)
    check_same_classes(first, second, rows)
    ks = [number for number in (1, 5) if number <= first.num_classes] if k is None else check_ks(k, first.num_classes)
    for scores in (first, second):
        if scores.best is not None and max(ks) > scores.best.shape[1]:
            scores.check_whole(f"k = {max(ks)}")
    ranks = first.target_ranks(), second.target_ranks()[rows]
    hits = {number: (ranks[0] < number, ranks[1] < number) for number in ks}
    by_k = {number: compare_hits(*pair, level=level, margin=margin) for number, pair in hits.items()}
    classes = classes_of_hits(*hits[min(ks)], first.labels(), level)
    ids = first.ids or [str(row) for row in range(len(first))]
    calibration = sizes = None
    if first.best is None and second.best is None:
        calibration = _curve(first), _curve(second)
        sizes = compare_sizes(first, second, rows, coverage, level)
    return ScoresComparison(len(first), by_k, classes, calibration, sizes, hits, first.names, ids)


def _curve(scores: Scores) -> ReliabilityCurve:
    metric, labels = CalibrationError(), scores.labels()
    for block in scores.blocks():
        block.check_units()
        metric.update(block.logits, labels[block.start : block.start + len(block)])
    return metric.curve()


def _errors(curve: ReliabilityCurve) -> dict[str, Any]:
    columns = {name: getattr(curve, name).tolist() for name in ("count", "confidence", "accuracy", "low", "high")}
    columns = {
        "from": curve.edges[:-1].tolist(),
        "to": curve.edges[1:].tolist(),
        "images": columns.pop("count"),
        **columns,
    }
    bins = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True) if row[2]]
    return {"error": curve.error, "overconfidence": curve.overconfidence, "bins": bins}


def same_images(first: Scores, second: Scores) -> Tensor:
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


def check_same_classes(first: Scores, second: Scores, rows: Tensor) -> None:
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
