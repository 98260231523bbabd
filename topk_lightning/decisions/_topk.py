"""Two models by their scores of the same images: at each k, and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_k, check_ks
from topk_lightning.decisions._paired import PairedComparison, compare_hits
from topk_lightning.ranking import target_rank

__all__ = ["ClassComparison", "classes_of_hits", "compare_classes", "compare_topk", "holm"]


def compare_topk(
    first: Tensor,
    second: Tensor,
    target: Tensor,
    k: int | Sequence[int] | None = None,
    *,
    level: float = 0.95,
    margin: float | None = None,
) -> dict[int, PairedComparison]:
    """Return by k whether a second model has the class among its k best more often than a first, on the same images.

    Only the order of the scores matters, by the order rule of :mod:`topk_lightning.ranking`; a NaN score of the target is a
    miss. The models may have been trained in any way, so logits of one may be held against probabilities of another.

    Shape:
        first and second: (N, C); target: (N,) of any integer dtype.

    Args:
        first: scores of the first model.
        second: scores of the second.
        target: class of each image.
        k: how many classes count as best, each 1 ≤ k ≤ C; None: 1 and 5, as far as there are classes.
        level: the probability of each interval on its own.
        margin: the difference up to which the models count as equally good; see :func:`compare_hits`.

    Raises:
        TypeError: a wrong dtype.
        ValueError: other shapes, k > C, an option out of range.

    Examples:
        >>> import torch
        >>> target = torch.arange(6)
        >>> second = torch.eye(6)
        >>> first = second.roll(1, 0)
        >>> compare_topk(first, second, target, k=1)[1].verdict
        'better'
    """
    ranks = _ranks(first, second, target)
    num_classes = first.shape[1]
    ks = [number for number in (1, 5) if number <= num_classes] if k is None else check_ks(k, num_classes)
    return {number: compare_hits(*(rank < number for rank in ranks), level=level, margin=margin) for number in ks}


@dataclass(frozen=True, eq=False)
class ClassComparison:
    """How two models do on the images of one class.

    Attributes:
        index: of the class.
        comparison: on its images; indices of images count in the whole test.
        adjusted_p: the mid-p, corrected for the number of classes (Holm): at most 0.05 where the class differs, at 5 % for all
            classes together.
    """

    index: int
    comparison: PairedComparison
    adjusted_p: float


def compare_classes(
    first: Tensor, second: Tensor, target: Tensor, k: int = 1, *, level: float = 0.95
) -> list[ClassComparison]:
    """Return how two models do on each class that has images, the clearest difference first.

    Shape:
        As of :func:`compare_topk`.

    Args:
        first: scores of the first model.
        second: scores of the second.
        target: class of each image.
        k: how many classes count as best.
        level: the probability of each interval on its own.

    Examples:
        >>> import torch
        >>> target = torch.tensor([0] * 8 + [1] * 8)
        >>> first, second = torch.eye(2)[[1] * 8 + [1] * 8], torch.eye(2)[target]
        >>> found = compare_classes(first, second, target)
        >>> [(c.index, c.comparison.difference, round(c.adjusted_p, 4)) for c in found]
        [(0, 1.0, 0.0078), (1, 0.0, 1.0)]

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    ranks = _ranks(first, second, target)
    check_k(k, first.shape[1])
    return classes_of_hits(ranks[0] < k, ranks[1] < k, target, level)


def classes_of_hits(first: Tensor, second: Tensor, target: Tensor, level: float) -> list[ClassComparison]:
    """Return the same from whether each model is right about each image."""
    by_class = []
    for index in target.unique().tolist():  # type: ignore[no-untyped-call]
        rows = (target == index).nonzero().flatten()
        compared = compare_hits(first[rows], second[rows], level=level)
        rows = rows.cpu()
        won, lost = rows[compared.won], rows[compared.lost]
        by_class.append(
            (
                index,
                PairedComparison(
                    compared.images, compared.both, won, lost, compared.level, compared.low, compared.high
                ),
            )
        )
    by_class.sort(key=lambda pair: pair[1].test.mid_p)
    adjusted = holm([comparison.test.mid_p for _, comparison in by_class])
    return [ClassComparison(*one, p) for one, p in zip(by_class, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values, given in ascending order, corrected for their number.

    Examples:
        >>> holm([0.01, 0.02, 0.9])
        [0.03, 0.04, 0.9]
    """
    adjusted, largest = [], 0.0
    for number, p in enumerate(p_values):
        largest = max(largest, min(1.0, (len(p_values) - number) * p))
        adjusted.append(largest)
    return adjusted


def _ranks(first: Tensor, second: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(first, Tensor) and isinstance(second, Tensor) and first.shape != second.shape:
        wanted = f"have shape {tuple(first.shape)} as first, the same images and classes"
        raise InvalidValueError(must("second", wanted, tuple(second.shape)))
    return target_rank(first, target).cpu(), target_rank(second, target).cpu()
