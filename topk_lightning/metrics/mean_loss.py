"""The mean loss over all rows of an epoch and all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from topk_lightning.metrics._counting import wide_dtype
from topk_lightning.metrics._exact import Amounts, ExactMetric

__all__ = ["MeanLoss"]


class MeanLoss(ExactMetric):
    r"""Average the mean losses of batches so that the mean over all their rows comes out: Σ dᵢ lossᵢ / Σ dᵢ.

    The divisor dᵢ is what the mean of a batch was divided by, which :func:`mean_divisor` says: the rows that count, with
    class weights the sum of their weights. So the value depends neither on the size of the batches, nor on how processes
    share the rows, nor on rows that are ignored. Both sums are kept in float64 (float32 on a device without it). A
    batch whose divisor is 0 changes nothing; a NaN stays a NaN. (``torchmetrics.MeanMetric`` drops NaN, or else the
    weights; the mean that ``LightningModule.log`` keeps rounds the mean number of rows of the processes to an integer.)

    Shape:
        ``update(loss, divisor)``: both (). ``compute()``: ().

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Examples:
        >>> mean = MeanLoss()
        >>> mean.update(torch.tensor(1.0), 3)
        >>> mean.update(torch.tensor(2.0), 1)
        >>> mean.compute()
        tensor(1.2500)
    """

    higher_is_better = False
    plot_upper_bound = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = torch.zeros((), dtype=torch.float64)
        self.add_counts({}, total=empty, divisor=empty)

    def update(self, loss: Tensor, divisor: Tensor | float) -> None:
        """Add the mean loss of a batch, which was divided by `divisor`; nothing where that is 0."""
        self.add(self.count(loss, divisor))

    def compute(self) -> Tensor:
        """Return the mean over all processes, in float32; NaN where nothing was seen."""
        return self.value_of(self.states())

    def count(self, loss: Tensor, divisor: Tensor | float) -> Amounts:
        """Return what a batch adds to the states."""
        wide = wide_dtype(loss.device)
        divisor = torch.as_tensor(divisor, dtype=wide, device=loss.device)
        # A mean over nothing is NaN, which times 0 would stay one.
        return {"total": torch.where(divisor > 0, loss.detach().to(wide) * divisor, 0), "divisor": divisor}

    def value_of(self, states: Mapping[str, Tensor]) -> Tensor:
        """Return the value of such states."""
        return (states["total"] / states["divisor"]).float()
