"""Sets of classes instead of k guesses: how often the right one is among them, and how many are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_integer, check_level
from topk_lightning._checks.scores import check_distribution, check_labels, check_weights
from topk_lightning.metrics._counting import Rows, wide_dtype
from topk_lightning.metrics._exact import Amounts, ExactMetric
from topk_lightning.metrics.intervals import wilson_interval

__all__ = ["CoverageSummary", "SetCoverage", "SizeStratum"]


@dataclass(frozen=True)
class SizeStratum:
    """The coverage of the sets of some sizes; its interval is Wilson's."""

    smallest: int
    largest: int
    images: float
    coverage: float
    low: float
    high: float


@dataclass(frozen=True)
class CoverageSummary:
    """What sets of classes came to; fractions, and numbers of names.

    Attributes:
        images: number of images, or the sum of their weights.
        coverage: share of images with a right class in their set ("micro").
        low: lower bound of Wilson's interval of the coverage.
        high: its upper bound.
        level: the probability of the intervals.
        macro: mean of the coverage of each class that has images.
        worst_class: index of the class of lowest coverage among those with enough images; None: none has enough.
        worst: its coverage; NaN where there is none.
        worst_images: its images.
        mean_size: names shown on average.
        median_size: names shown to the image in the middle.
        empty: share of images that are shown no name.
        by_size: coverage of small and of large sets, which shows whether some images are let down.
        size_shares: share of images that are shown 0, 1, …, C names, (C + 1,).
    """

    images: float
    coverage: float
    low: float
    high: float
    level: float
    macro: float
    worst_class: int | None
    worst: float
    worst_images: float
    mean_size: float
    median_size: float
    empty: float
    by_size: tuple[SizeStratum, ...]
    size_shares: Tensor

    def at_most(self, names: int) -> float:
        """Return the share of images that are shown at most so many names."""
        return float(self.size_shares[: names + 1].sum())


class SetCoverage(ExactMetric):
    r"""Count how often the right class is in a set of classes, and how many classes the sets hold.

    .. math:: \text{coverage} = \frac{1}{N} \sum_{n=1}^{N} [\,y_n \in S_n\,]

    for sets as :class:`topk_lightning.PredictionSets` returns them, or any other: of a threshold, of the k best. A set for
    an image whose scores are NaN is empty, and so a miss.

    Shape:
        ``update(mask, target)``: mask (N, C) bool, target (N,) class indices; (N, C) right classes as 0 and 1, of which one
        in the set is enough; or (N, C) distributions over classes, of which the share in the set counts.
        ``compute()``: (), the coverage.

    Args:
        num_classes: C, at least 2.
        ignore_index: rows with this label are left out.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument or a dtype is wrong.
        ValueError: if an argument, a shape or a label is wrong.

    Source:
        Size-stratified coverage: Angelopoulos et al., Uncertainty sets for image classifiers, ICLR 2021, section 4.3.

    Examples:
        >>> metric = SetCoverage(3)
        >>> mask = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]]).bool()
        >>> metric.update(mask, torch.tensor([0, 2, 2]))
        >>> metric.compute()
        tensor(0.6667)
        >>> summary = metric.summary()
        >>> round(summary.mean_size, 4), summary.median_size, round(summary.at_most(1), 4), summary.macro
        (1.3333, 1.0, 0.6667, 0.75)
    """

    def __init__(self, num_classes: int, *, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_integer("num_classes", num_classes, minimum=2)
        self.ignore_index = None if ignore_index is None else check_integer("ignore_index", ignore_index, -(2**63))
        wide = torch.float64
        self.add_counts(
            {"classes": self.num_classes, "ignore": ignore_index},
            # Weight of the images, and of those that are covered; sums of counts are exact up to 2^53.
            classes=torch.zeros(self.num_classes, 2, dtype=wide),
            sizes=torch.zeros(self.num_classes + 1, 2, dtype=wide),
            squares=torch.zeros((), dtype=wide),
        )

    def update(self, mask: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> None:
        """Count one batch; zero rows change nothing."""
        self.add(self.count(mask, target, sample_weight))

    def count(self, mask: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Amounts:
        """Check a batch and return what it adds to the states."""
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            actual = str(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__
            remedy = "PredictionSets.mask returns them."
            raise InvalidTypeError(
                must("mask", "be a tensor of bool, which classes each image is shown", actual, remedy)
            )
        if mask.ndim != 2 or mask.shape[1] != self.num_classes:
            raise InvalidValueError(must("mask", f"have shape (N, {self.num_classes})", tuple(mask.shape)))
        wide = wide_dtype(mask.device)
        weight = torch.ones(len(mask), dtype=wide, device=mask.device)
        if sample_weight is not None:
            check_weights(sample_weight, mask.shape[:1])
            weight = sample_weight.to(mask.device, wide)
        if target.shape == mask.shape and target.ndim == 2:
            share, covered = _shares(mask, target)
            classes: Tensor | Rows = torch.stack(
                [(weight.unsqueeze(1) * part).sum(0) for part in (share, share * mask)], 1
            )
        else:
            if target.shape != mask.shape[:1]:
                wanted = f"have shape ({len(mask)},) to match mask of shape {tuple(mask.shape)}"
                raise InvalidValueError(must("target", wanted, tuple(target.shape)))
            if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
                raise InvalidTypeError(must("target", "be of an integer dtype", target.dtype))
            label = target.long()
            if self.ignore_index is not None:
                kept = label != self.ignore_index
                label, mask, weight = label[kept], mask[kept], weight[kept]
            check_labels(label, self.num_classes)
            covered = mask.gather(1, label.unsqueeze(1)).squeeze(1).to(wide)
            classes = Rows(label, torch.stack([weight, weight * covered], 1))
        sizes = Rows(mask.sum(1), torch.stack([weight, weight * covered], 1))
        return {"classes": classes, "sizes": sizes, "squares": weight.square().sum()}

    def compute(self) -> Tensor:
        """Return the coverage of all that was counted, over all processes; NaN if nothing was."""
        return self.value_of(self.states())

    def value_of(self, states: Mapping[str, Tensor]) -> Tensor:
        """Return the value of such states."""
        images, covered = states["sizes"].sum(0).unbind()
        return (covered / images).float()

    def summary(self, level: float = 0.95, min_images: int = 10) -> CoverageSummary:
        """Return all that is known of the sets, over all processes, on the CPU; all processes must call it.

        Args:
            level: the probability in (0, 1) with which Wilson's intervals hold the true coverage; where images have
                weights, by the number of images that equal ones would be.
            min_images: what a class needs to be the worst one.
        """
        check_level(level)
        with self.synced():
            classes, sizes, squares = (state.cpu().double() for state in self.states().values())
        images, covered = sizes.sum(0).tolist()
        effective = images**2 / float(squares) if squares else 0.0
        low, high = _interval(covered, images, effective, level)
        seen = (classes[:, 0] > 0).nonzero().flatten()
        coverage = classes[seen, 1] / classes[seen, 0]
        enough = classes[seen, 0] >= min_images
        at = int(coverage.masked_fill(~enough, 2).min(0).indices) if enough.any() else None
        shares = sizes[:, 0] / images
        return CoverageSummary(
            images=images,
            coverage=covered / images if images else float("nan"),
            low=low,
            high=high,
            level=level,
            macro=float(coverage.mean()),
            worst_class=None if at is None else int(seen[at]),
            worst=float("nan") if at is None else float(coverage[at]),
            worst_images=0.0 if at is None else float(classes[seen[at], 0]),
            mean_size=float((shares * torch.arange(len(shares))).sum()),
            median_size=_median(shares),
            empty=float(shares[0]),
            by_size=tuple(_strata(sizes, effective / images if images else 0.0, level)),
            size_shares=shares,
        )


def _shares(mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of each class in each row (N, C), and by how much a row is covered (N,)."""
    wide = wide_dtype(mask.device)
    if target.is_floating_point():
        check_distribution(target, 1)
        share = target.to(wide) / target.to(wide).sum(1, keepdim=True)
        return share, (share * mask).sum(1)
    accepted = target.to(wide)
    if not ((accepted == 0) | (accepted == 1)).all() or not (accepted.sum(1) > 0).all():
        raise InvalidValueError(
            must("target", "say the right classes of each row as 0 and 1", "other numbers, or none")
        )
    return accepted / accepted.sum(1, keepdim=True), ((accepted > 0) & mask).any(1).to(wide)


def _interval(covered: float, images: float, effective: float, level: float) -> tuple[float, float]:
    fraction = torch.tensor(covered, dtype=torch.float64) / images
    low, high = wilson_interval(fraction, torch.tensor(effective, dtype=torch.float64), level).tolist()
    return low, high


def _strata(sizes: Tensor, effective: float, level: float) -> list[SizeStratum]:
    """Return the coverage of sets of at most 1, 2 to 3, 4 to 10, 11 to 30, 31 to 100, … names, where there are any."""
    strata, smallest, largest = [], 0, 1
    while smallest < len(sizes):
        images, covered = sizes[smallest : largest + 1].sum(0).tolist()
        if images:
            bounds = _interval(covered, images, images * effective, level)
            strata.append(SizeStratum(smallest, min(largest, len(sizes) - 1), images, covered / images, *bounds))
        smallest, largest = largest + 1, largest * 3 if str(largest)[0] == "1" else largest // 3 * 10
    return strata


def _median(shares: Tensor) -> float:
    """Return the size of the image in the middle, between the two where there is none."""
    if not bool(shares.sum() > 0):
        return float("nan")
    reached = shares.cumsum(0)
    first = int((reached >= 0.5 - 1e-12).nonzero()[0])
    after = (reached > 0.5 + 1e-12).nonzero()
    return (first + (int(after[0]) if len(after) else first)) / 2
