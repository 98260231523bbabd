"""Two ways to train by the stored scores of several seeds each, paired, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.decisions._compare_scores import ScoresComparison, check_same_classes, compare_scores, same_images
from topk_lightning.decisions._seeds import SeedsDifference, difference_over_seeds, sign_flips
from topk_lightning.decisions._topk import holm
from topk_lightning.scores import Scores

__all__ = ["ClassGain", "SeedsComparison", "compare_seeds"]


@dataclass(frozen=True)
class ClassGain:
    """How two ways to train do on the images of one class.

    Attributes:
        index: of the class.
        images: its images.
        first: mean accuracy of the first over its seeds.
        second: that of the second.
        adjusted_p: of the flips of the signs of its images, for these networks, corrected for the number of classes (Holm).
    """

    index: int
    images: int
    first: float
    second: float
    adjusted_p: float


@dataclass(frozen=True, eq=False)
class SeedsComparison:
    """How a second way to train does beside a first one, each with several seeds, on the same images.

    Attributes:
        pairs: the comparison of each pair of networks, in order.
        by_k: the mean difference at each k.
        gains: on how many seeds more the second is right about each image at the smallest k (N,), −S to S.
        classes: each class at the smallest k, the clearest difference first.
    """

    pairs: list[ScoresComparison]
    by_k: dict[int, SeedsDifference]
    gains: Tensor
    classes: list[ClassGain]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for a JSON file; images by their names."""
        ids, names = self.pairs[0].ids, self.pairs[0].class_names
        order = sorted(range(len(ids)), key=lambda row: -abs(int(self.gains[row])))
        differences = [
            {
                "k": k,
                **{name: getattr(of_k, name) for name in ("first", "second", "difference", "low", "high", "level")},
                **{name: getattr(of_k, name) for name in ("margin", "equivalent", "verdict", "p")},
                "by_seed": list(of_k.by_seed),
            }
            for k, of_k in self.by_k.items()
        ]
        return {
            "topk": differences,
            "won": [ids[row] for row in order if self.gains[row] > 0],
            "lost": [ids[row] for row in order if self.gains[row] < 0],
            "classes": [
                {
                    "class": names[gain.index],
                    **{n: getattr(gain, n) for n in ("images", "first", "second", "adjusted_p")},
                }
                for gain in self.classes
            ],
        }


def compare_seeds(
    first: Sequence[Scores],
    second: Sequence[Scores],
    k: int | Sequence[int] | None = None,
    *,
    level: float = 0.95,
    margin: float | None = None,
    coverage: float = 0.9,
) -> SeedsComparison:
    """Return how a second way to train does beside a first, from the scores of several networks of each, paired by seed.

    Args:
        first: scores of the networks of the first way, S ≥ 2, one a seed.
        second: those of the second, of the same seeds in the same order.
        k: as in :func:`compare_topk`.
        level: the probability of each interval on its own.
        margin: the difference up to which both count as equally good.
        coverage: as in :func:`compare_scores`.

    Raises:
        ValueError: fewer than two networks, other numbers of them, and all that :func:`compare_scores` refuses.

    Examples:
        >>> target = torch.arange(40) % 4
        >>> weak, good = torch.eye(4)[target * (torch.arange(40) > 9)], torch.eye(4)[target]
        >>> first, second = ([Scores(v, target, kind="logits")] * 2 for v in (weak, good))
        >>> compare_seeds(first, second, k=1).by_k[1].verdict
        'better'
    """
    if len(first) < 2 or len(first) != len(second):
        wanted = "hold at least two networks, as many on both sides"
        raise InvalidValueError(must("first and second", wanted, f"{len(first)} and {len(second)}"))
    options: dict[str, Any] = {"level": level, "margin": margin, "coverage": coverage}
    pairs = [compare_scores(*pair, k, **options) for pair in zip(first, second, strict=True)]
    orders = []
    for scores in first:
        rows = same_images(first[0], scores)
        check_same_classes(first[0], scores, rows)
        orders.append(rows)
    hits = {
        number: torch.stack([torch.stack(pair.hits[number])[:, rows] for pair, rows in zip(pairs, orders, strict=True)])
        for number in pairs[0].by_k
    }  # (S, 2, N)
    by_k = {
        number: difference_over_seeds(of_k[:, 0], of_k[:, 1], level=level, margin=margin)
        for number, of_k in hits.items()
    }
    smallest = hits[min(hits)].long().sum(0)
    gains, labels = smallest[1] - smallest[0], first[0].labels()
    return SeedsComparison(pairs, by_k, gains, _classes(smallest, gains, labels, len(first)))


def _classes(right: Tensor, gains: Tensor, labels: Tensor, seeds: int) -> list[ClassGain]:
    tests = []
    for index in labels.unique().tolist():  # type: ignore[no-untyped-call]
        of_class = labels == index
        images = int(of_class.sum())
        shares = (right[:, of_class].sum(1) / (seeds * images)).tolist()
        tests.append((sign_flips(gains[of_class].tolist()).mid_p, index, images, shares[0], shares[1]))
    tests.sort(key=lambda test: test[0])
    adjusted = holm([test[0] for test in tests])
    return [ClassGain(test[1], test[2], test[3], test[4], p) for test, p in zip(tests, adjusted, strict=True)]
