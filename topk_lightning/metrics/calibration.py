"""Calibration: does a class that gets 80 % turn out right in 80 % of the cases?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_logits_and_labels
from topk_lightning._checks.options import check_integer, check_k, check_level
from topk_lightning._checks.scores import check_labels
from topk_lightning.metrics._counting import wide_dtype
from topk_lightning.metrics._exact import Amounts, ExactMetric
from topk_lightning.metrics.intervals import wilson_interval
from topk_lightning.ranking import in_topk

__all__ = ["CalibrationError", "ReliabilityCurve"]


@dataclass(frozen=True)
class ReliabilityCurve:
    """Hold what a reliability diagram shows: the accuracy in each bin of confidence.

    Args:
        edges: bounds of the B bins in [0, 1], (B + 1,); a bin holds its lower edge, the last one also 1.
        count: rows in each bin, (B,) int64.
        confidence: their mean confidence, (B,); NaN in an empty bin, as are the next three.
        accuracy: the fraction of them that was right, (B,).
        low: lower bound of Wilson's interval of the accuracy, (B,).
        high: its upper bound, (B,).
        undefined: rows without a confidence, which stand in no bin: a NaN or +inf among their logits, or −inf alone.
    """

    edges: Tensor
    count: Tensor
    confidence: Tensor
    accuracy: Tensor
    low: Tensor
    high: Tensor
    undefined: int

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of abs(accuracy − confidence) over bins, weighted by their rows."""
        return float(self._mean((self.accuracy - self.confidence).abs()))

    @property
    def overconfidence(self) -> float:
        """Mean confidence − accuracy over all rows: above 0 the model promises too much, below 0 too little."""
        return float(self._mean(self.confidence - self.accuracy))

    def _mean(self, values: Tensor) -> Tensor:
        return (values.double().nan_to_num() * self.count).sum() / self.count.sum()


class CalibrationError(ExactMetric):
    r"""Measure by how much confidence and accuracy differ: the expected calibration error (ECE).

    The confidence of a row is the probability that softmax gives to its k best classes, and the row is right if its
    target is among them (for k = 1 the usual definition). Rows are put into B bins of equal width by their confidence:

    .. math:: \mathrm{ECE} = \sum_{b=1}^{B} \frac{n_b}{N} \, \lvert \mathrm{accuracy}_b - \mathrm{confidence}_b \rvert

    where accuracy and confidence of a bin are means over its n_b rows. Of few rows it is too large: also a perfectly
    calibrated model differs from its accuracy by chance in each bin, the more so the fewer rows it holds.

    Counts are kept in int64 and sums of confidences in float64, and add up over batches and processes. Rows without a
    confidence (a NaN or +inf among their logits, or nothing but −inf) stand in no bin and are counted in
    :attr:`ReliabilityCurve.undefined`.

    Shape:
        ``update(logits, target)``: logits (N, C) or (N, C, d1, …), target (N,) or (N, d1, …) of any integer dtype.
        ``compute()``: ().

    Args:
        num_bins: bins B of the confidence, at least 1.
        k: how many classes count as best, 1 ≤ k ≤ C.
        ignore_index: rows with this label are left out.
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument or a dtype is wrong, or the target is a distribution over classes.
        ValueError: if an argument, a shape or a label is wrong.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, equation 3. There a bin holds its upper edge, here
        its lower one, as in torchmetrics; the sum over k > 1 classes is ours.

    Examples:
        Four rows get 3/4 for the first class, which is right in two of them. Probabilities are passed by their logarithm.

        >>> metric = CalibrationError()
        >>> metric.update(torch.tensor([[0.75, 0.25]]).log().expand(4, 2), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.2500)
        >>> curve = metric.curve()
        >>> curve.count.tolist()
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]
        >>> round(curve.overconfidence, 4)
        0.25
    """

    higher_is_better = False

    def __init__(
        self, num_bins: int = 15, *, k: int = 1, ignore_index: int | None = None, class_dim: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_bins = check_integer("num_bins", num_bins)
        self.k = check_k(k)
        self.ignore_index = None if ignore_index is None else check_integer("ignore_index", ignore_index, -(2**63))
        self.class_dim = class_dim
        whole = torch.zeros(self.num_bins, dtype=torch.int64)
        self.add_counts(
            {"k": self.k, "bins": self.num_bins, "dim": class_dim, "ignore": ignore_index},
            count=whole,
            hits=whole,
            confidence=torch.zeros(self.num_bins, dtype=torch.float64),
            undefined=torch.zeros((), dtype=torch.int64),
        )

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Count one batch; zero rows change nothing."""
        self.add(self.count(logits, target))

    def count(self, logits: Tensor, target: Tensor) -> Amounts:
        """Check a batch and return what it adds to the states."""
        dim = check_logits_and_labels(logits, target, self.class_dim)
        num_classes = logits.shape[dim]
        check_k(self.k, num_classes)
        rows, label = logits.detach().movedim(dim, -1).reshape(-1, num_classes), target.reshape(-1).long()
        if self.ignore_index is not None:
            kept = label != self.ignore_index
            rows, label = rows[kept], label[kept]
        check_labels(label, num_classes)
        defined = rows.amax(1).isfinite()
        rows, right = rows[defined], in_topk(rows, label, self.k)[defined]
        probabilities = rows.softmax(1, dtype=torch.float64 if rows.dtype == torch.float64 else torch.float32)
        wide = wide_dtype(rows.device)
        confidence = probabilities.topk(self.k).values.to(wide).sum(1).clamp(max=1)
        edges = torch.linspace(0, 1, self.num_bins + 1, dtype=wide, device=rows.device)
        bin_index = (torch.bucketize(confidence, edges, right=True) - 1).clamp(max=self.num_bins - 1)
        return {
            "count": torch.bincount(bin_index, minlength=self.num_bins),
            "hits": torch.bincount(bin_index[right], minlength=self.num_bins),
            "confidence": confidence.new_zeros(self.num_bins).index_add_(0, bin_index, confidence),
            "undefined": (~defined).sum(),
        }

    def compute(self) -> Tensor:
        """Return the expected calibration error in [0, 1] of all that was counted, over all processes; NaN if nothing was."""
        return self.value_of(self.states())

    def value_of(self, states: Mapping[str, Tensor]) -> Tensor:
        """Return the value of such states."""
        return ((states["hits"] - states["confidence"]).abs().sum() / states["count"].sum()).float()

    def curve(self, level: float = 0.95) -> ReliabilityCurve:
        """Return the accuracy in each bin of confidence, over all processes, on the CPU; all processes must call it.

        Args:
            level: the probability in (0, 1) with which Wilson's intervals hold the true accuracy of their bin.
        """
        check_level(level)
        with self.synced():
            count, hits, confidence, undefined = (state.cpu() for state in self.states().values())
        rows = count.double()
        low, high = wilson_interval(hits / rows, rows, level).unbind(1)
        return ReliabilityCurve(
            edges=torch.linspace(0, 1, self.num_bins + 1),
            count=count,
            confidence=(confidence / rows).float(),
            accuracy=(hits / rows).float(),
            low=low,
            high=high,
            undefined=int(undefined),
        )
