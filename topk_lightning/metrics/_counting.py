"""The one reading of the scores that every top-k accuracy is computed from.

A batch becomes two small tables. `whole` holds whole hits in int64: how many rows have their target at rank 0, 1, …,
max_k − 1, and how many further behind. `fractional` holds the same for rows that count in part (soft targets, sample
weights, expected ties) in float64, and, in a last column, the sum of the squared weights, which the confidence interval
needs. Both answer every k up to max_k, and add up over batches and processes. Counted class by class, the tables have a
row a class, of which a batch changes as many as it has images, whatever the number of classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, cast

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_integer, check_k
from topk_lightning._checks.scores import check_distribution, check_labels, check_scores, check_target, check_weights
from topk_lightning.ranking import TIES, count_ahead, count_ahead_and_tied, topk_indices

__all__ = ["ALL_TIES", "Counting", "Counts", "Rows", "wide_dtype"]

ALL_TIES = (*TIES, "expected")

# Soft targets under a tie rule other than "index" become (row, class) pairs, this many scores at a time.
_PAIR_BLOCK = 2**20


def wide_dtype(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on a device that has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


@dataclass(frozen=True)
class Rows:
    """What is added to some rows of a table: `amount` (M, …) to the rows `index` (M,)."""

    index: Tensor
    amount: Tensor

    def added_to(self, table: Tensor) -> Tensor:
        """Add in place, and return the table."""
        if table.is_inference() and not torch.is_inference_mode_enabled():
            table = table.clone()
        return table.view(-1, *self.amount.shape[1:]).index_add_(0, self.index, self.amount).view(table.shape)


class Counts(NamedTuple):
    """What was counted: `whole` (…, max_k + 1) int64 and `fractional` (…, max_k + 2) float64; None: nothing of the kind."""

    whole: Tensor | Rows | None
    fractional: Tensor | Rows | None


@dataclass(frozen=True)
class Counting:
    """Everything that decides how a batch is counted; two metrics with equal settings count alike.

    Args:
        max_k: ranks 0 … max_k − 1 are counted one by one.
        ties: "index", "strict", "optimistic" or "expected".
        ignore_index: rows with this label are left out.
        class_dim: the class dimension of the scores.
        num_classes: how many scores a row must have; None: any number.
        by_class: count each class apart.
        fits: refuse scores of fewer than `max_k` classes.
    """

    max_k: int
    ties: str = "index"
    ignore_index: int | None = None
    class_dim: int = 1
    num_classes: int | None = None
    by_class: bool = False
    fits: bool = True

    def __post_init__(self) -> None:
        check_k(self.max_k, self.num_classes if self.fits else None)
        check_choice("ties", self.ties, ALL_TIES)
        if self.ignore_index is not None:
            check_integer("ignore_index", self.ignore_index, minimum=-(2**63))

    @cached_property
    def _may_be_plain(self) -> bool:
        return self.class_dim in (1, -1) and self.ignore_index is None and self.ties == "index" and not self.by_class

    @property
    def settings(self) -> dict[str, object]:
        """The settings, for the names of the states."""
        classes = f"{self.num_classes or 'any'}{'_by_class' if self.by_class else ''}"
        return {
            "": self.ties,
            "dim": self.class_dim,
            "ignore": self.ignore_index,
            "classes": classes,
            "max": self.max_k,
        }

    def empty(self, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """Return the tables of no rows at all."""
        shape = (self.num_classes,) if self.by_class and self.num_classes else ()
        device = torch.device("cpu") if device is None else device
        return (
            torch.zeros(*shape, self.max_k + 1, dtype=torch.int64, device=device),
            torch.zeros(*shape, self.max_k + 2, dtype=wide_dtype(device), device=device),
        )

    def count(self, preds: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Counts:
        """Check one batch and count it.

        Args:
            preds: scores (N, C) or (N, C, d1, …).
            target: class indices (N,) or (N, d1, …), or a distribution over classes of the shape of `preds`.
            sample_weight: a weight ≥ 0 for each row, of the shape of the class indices.
        """
        if sample_weight is None and self._are_plain(preds, target):
            return self._count_plainly(preds, target)
        dim = check_scores(preds, self.class_dim)
        num_classes = preds.shape[dim]
        if self.fits:
            check_k(self.max_k, num_classes)
        if self.num_classes not in (None, num_classes):
            raise InvalidValueError(
                must("num_classes", f"be the number of scores a row ({num_classes})", self.num_classes)
            )
        soft = check_target(target, preds, dim)
        row_shape = target.shape[:dim] + target.shape[dim + 1 :] if soft else target.shape
        kept = None
        if self.ignore_index is not None and not soft:
            # In int64: torch would wrap -100 into uint8 as 156.
            kept = target.long() != self.ignore_index
            target = torch.where(kept, target.long(), 0)
            if sample_weight is not None and sample_weight.shape == row_shape:
                sample_weight = torch.where(kept, sample_weight, 0)
        if sample_weight is not None:
            check_weights(sample_weight, row_shape)
            sample_weight = sample_weight.reshape(-1).to(wide_dtype(preds.device))
        if soft:
            check_distribution(target, dim)
            return self._count_soft(_as_rows(preds, dim), _as_rows(target, dim), sample_weight)
        target = target.long()
        check_labels(target, num_classes)
        if sample_weight is not None or self.ties == "expected":
            credit = self._credit(preds, target)
            weight = torch.ones_like(credit[:, 0]) if sample_weight is None else sample_weight
            weight = weight if kept is None else weight * kept.reshape(-1)
            return Counts(None, self.fractional(credit, target.reshape(-1), weight))
        rank = count_ahead(preds, target, class_dim=dim, ties=self.ties, below=self.max_k).clamp(max=self.max_k)
        kept = None if kept is None else kept.reshape(-1)
        return Counts(self.whole(rank.reshape(-1), target.reshape(-1), kept), None)

    def _are_plain(self, preds: Tensor, target: Tensor) -> bool:
        """Return whether a batch needs no further check than that of its labels: the case that has to be quick."""
        if torch.compiler.is_compiling() or not self._may_be_plain:
            return False
        if not (isinstance(preds, Tensor) and isinstance(target, Tensor) and preds.is_cpu and target.is_cpu):
            return False
        return (
            preds.ndim == 2
            and target.dtype == torch.int64
            and target.shape == preds.shape[:1]
            and preds.is_floating_point()
            and self.num_classes in (None, preds.shape[1])
            and (self.max_k <= preds.shape[1] or not self.fits)
        )

    def _count_plainly(self, preds: Tensor, target: Tensor) -> Counts:
        try:
            rank = count_ahead(preds, target, below=self.max_k)
        except RuntimeError:  # of gather, which looks at each label
            check_labels(target, preds.shape[1])
            raise
        return Counts(torch.bincount(rank.clamp_(max=self.max_k), minlength=self.max_k + 1), None)

    def whole(self, rank: Tensor, target: Tensor, kept: Tensor | None) -> Tensor | Rows:
        """Return the table of whole hits from ranks in [0, max_k], labels and which rows count (None: all), (rows,) each."""
        if self.by_class:
            ones = torch.ones_like(rank) if kept is None else kept.to(rank.dtype)
            return Rows(target * (self.max_k + 1) + rank, ones)
        if kept is None and not torch.compiler.is_compiling():
            return torch.bincount(rank, minlength=self.max_k + 1)
        ones = torch.ones_like(rank) if kept is None else kept.to(rank.dtype)
        return rank.new_zeros(self.max_k + 1).scatter_add_(0, rank, ones)

    def _credit(self, preds: Tensor, target: Tensor) -> Tensor:
        if self.ties == "expected":
            ahead, tied = count_ahead_and_tied(preds, target, class_dim=self.class_dim)
            return self.credit(ahead.reshape(-1), tied.reshape(-1))
        ahead = count_ahead(preds, target, class_dim=self.class_dim, ties=self.ties, below=self.max_k).reshape(-1)
        return self.credit(ahead, ahead)

    def credit(self, ahead: Tensor, tied: Tensor) -> Tensor:
        """Return the probability that the target has rank 0, 1, …, max_k − 1, and the rest: (rows, max_k + 1).

        Args:
            ahead: by the tie rule; for "expected" the classes of a higher score, (rows,).
            tied: classes of the target's score, itself included, (rows,); for "expected" alone.
        """
        wide = wide_dtype(ahead.device)
        if self.ties != "expected":
            return torch.nn.functional.one_hot(ahead.clamp(max=self.max_k), self.max_k + 1).to(wide)
        rank = torch.arange(self.max_k, device=ahead.device)
        ahead, tied = ahead.unsqueeze(1), tied.unsqueeze(1)
        credit = ((rank >= ahead) & (rank < ahead + tied)).to(wide) / tied.clamp(min=1)
        missed = torch.where(tied > 0, (tied - (self.max_k - ahead).clamp(min=0)).clamp(min=0) / tied.to(wide), 1)
        return torch.cat([credit, missed], dim=1)

    def fractional(self, credit: Tensor, target: Tensor, weight: Tensor) -> Tensor | Rows:
        """Return the table of weighted hits from :meth:`credit`, labels and weights (rows,)."""
        rows = torch.cat([weight.unsqueeze(1) * credit, weight.square().unsqueeze(1)], dim=1)
        return Rows(target, rows) if self.by_class else rows.sum(0)

    def _count_soft(self, preds: Tensor, target: Tensor, weight: Tensor | None) -> Counts:
        """Count rows (N, C) whose target is a distribution: the hit is its expected value."""
        wide = wide_dtype(preds.device)
        target = target.to(wide)
        target = target / target.sum(1, keepdim=True)
        weight = torch.ones(len(target), dtype=wide, device=target.device) if weight is None else weight
        if self.ties == "index" and not self.by_class:
            k = min(self.max_k, preds.shape[1])
            best = topk_indices(preds, k)
            credit = target.gather(1, best).masked_fill(preds.gather(1, best).isnan(), 0)
            missed = (1 - credit.sum(1, keepdim=True)).clamp(min=0)
            credit = torch.nn.functional.pad(credit, (0, self.max_k - k))
            return Counts(None, self.fractional(torch.cat([credit, missed], dim=1), best, weight))
        # Each class with mass is a row of its own, which weighs its share.
        single = replace(self, ignore_index=None, class_dim=1, num_classes=preds.shape[1], by_class=True)
        _, table = single.empty(preds.device)
        for row, label in _pairs(target):
            credit = single._credit(preds[row], label)
            cast(Rows, single.fractional(credit, label, weight[row] * target[row, label])).added_to(table)
        if self.by_class:
            return Counts(None, table)
        table = table.sum(0)
        table[-1] = weight.square().sum()
        return Counts(None, table)


def _as_rows(tensor: Tensor, dim: int) -> Tensor:
    return tensor.detach().movedim(dim, -1).reshape(-1, tensor.shape[dim])


def _pairs(target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    rows, labels = target.nonzero(as_tuple=True)
    step = max(1, _PAIR_BLOCK // max(1, target.shape[1]))
    yield from zip(torch.split(rows, step), torch.split(labels, step), strict=True)
