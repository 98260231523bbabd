"""What a class report has counted, and the plain numbers that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.metrics._counting import wide_dtype
from topk_lightning.metrics.intervals import wilson_interval
from topk_lightning.metrics.report_values import ConfusedPair, NearlyRight, TopKCurve

__all__ = ["ClassCounts"]


@dataclass(frozen=True)
class ClassCounts:
    """The counts of all processes.

    Args:
        cuts: the k at which the ranks of a class are cut, ascending, 1 first.
        ranks: rows of each class by their rank: below the first cut, between the first and the second, …, behind the
            last: (C, K + 1).
        histogram: rows by rank, (C + 1,); rank C is a NaN score of the target.
        pairs: actual class, predicted class and count of the pairs that occur, in order: (M, 3).
        nan_rows: rows with a NaN, which have no predicted class.
        unranked: misses of which only the predicted class is known; in `histogram` they stand at rank 1.
    """

    cuts: tuple[int, ...]
    ranks: Tensor
    histogram: Tensor
    pairs: Tensor
    nan_rows: Tensor
    unranked: Tensor

    @property
    def support(self) -> Tensor:
        """Rows of each class, (C,)."""
        return self.ranks.sum(1)

    @property
    def predicted(self) -> Tensor:
        """How often each class was predicted, (C,)."""
        return torch.zeros_like(self.support).index_add_(0, self.pairs[:, 1], self.pairs[:, 2])

    def within(self, k: int) -> Tensor:
        """Return the rows of each class whose target is among the k best, for one of the cuts: (C,)."""
        return self.ranks[:, : self.cuts.index(k) + 1].sum(1)

    def table(self, ks: Sequence[int]) -> dict[str, Tensor]:
        """Return the values of :meth:`ClassReport.compute`."""
        wide = wide_dtype(self.ranks.device)
        support, predicted, right = self.support.to(wide), self.predicted.to(wide), self.within(1).to(wide)
        by_class = {
            "precision": right / predicted,
            "recall": right / support,
            "f1": 2 * right / (support + predicted),
        }
        recall_within = {k: self.within(k) / support for k in ks}
        seen = support > 0
        scalars = {"accuracy": right.sum() / support.sum()}
        scalars |= {f"top{k}": self.within(k).sum() / support.sum() for k in ks}
        for name, value in by_class.items():
            # A class with images that is never predicted has no precision; in a mean it counts 0.
            value = value.nan_to_num(0)
            scalars[f"macro_{name}"] = value[seen].mean()
            scalars[f"weighted_{name}"] = (value * support).sum() / support.sum()
        scalars |= {f"macro_recall_top{k}": recall[seen].mean() for k, recall in recall_within.items()}
        columns = by_class | {f"recall_top{k}": recall for k, recall in recall_within.items()} | scalars
        counts = {"support": self.support, "predicted": self.predicted, "nan_rows": self.nan_rows.clone()}
        return {name: value.float() for name, value in columns.items()} | counts

    def most_confused(self, n: int, names: Sequence[str]) -> list[ConfusedPair]:
        """Return the n pairs of classes with most mistakes between them, most first; then by class index."""
        num_classes = len(names)
        actual, predicted, count = self.pairs[self.pairs[:, 0] != self.pairs[:, 1]].unbind(1)
        code = torch.minimum(actual, predicted) * num_classes + torch.maximum(actual, predicted)
        codes, inverse = code.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        upward = torch.zeros_like(codes).index_add_(0, inverse, count * (actual < predicted))
        total = torch.zeros_like(codes).index_add_(0, inverse, count)
        best = total.sort(descending=True, stable=True).indices[:n]
        images = self.support.tolist()
        pairs = []
        for pair, up, both in zip(codes[best].tolist(), upward[best].tolist(), total[best].tolist(), strict=True):
            low, high = divmod(pair, num_classes)
            sides = ((low, up), (high, both - up))
            (first, there), (second, back) = sides if up >= both - up else sides[::-1]
            pairs.append(
                ConfusedPair(names[first], names[second], there, back, first, second, images[first], images[second])
            )
        return pairs

    def nearly_right(self, k: int, names: Sequence[str]) -> list[NearlyRight]:
        """Return, for each class with images at rank 2 … k, how many there are; most first, then by class index."""
        images, right, within = (counts.tolist() for counts in (self.support, self.within(1), self.within(k)))
        columns = [
            NearlyRight(names[index], index, images[index], right[index], within[index] - right[index], k)
            for index in range(len(names))
            if within[index] > right[index]
        ]
        return sorted(columns, key=lambda pair: -pair.nearly)

    def curve(self, max_k: int, level: float) -> TopKCurve:
        """Return the accuracy at k = 1 … max_k with Wilson's interval at each."""
        rows = self.histogram.sum().to(wide_dtype(self.histogram.device))
        accuracy = self.histogram[:max_k].cumsum(0) / rows
        low, high = wilson_interval(accuracy, rows.expand_as(accuracy), level).unbind(-1)
        return TopKCurve(torch.arange(1, max_k + 1, device=rows.device), accuracy.float(), low, high)
