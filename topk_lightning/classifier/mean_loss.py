"""The mean loss of an epoch over all rows and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["MeanLoss"]


class MeanLoss(Metric):
    r"""Average the losses of batches, weighted by their rows: Σ nᵢ lossᵢ / Σ nᵢ.

    Rows are counted in int64 and summed over processes, so that processes with unequal numbers of rows give the mean of
    the whole set; a NaN stays a NaN. (``torchmetrics.MeanMetric`` drops NaN, or else the weights; the mean that
    ``LightningModule.log`` keeps rounds the mean number of rows of the processes to an integer.)

    Examples:
        >>> mean = MeanLoss()
        >>> mean.update(torch.tensor(1.0), 3)
        >>> mean.update(torch.tensor(2.0), 1)
        >>> mean.compute()
        tensor(1.2500)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, loss: Tensor, divisor: Tensor | int) -> None:
        """Add the mean loss of a batch, which was divided by `divisor`; nothing where that is 0."""
        divisor = torch.as_tensor(divisor, dtype=self.total.dtype, device=self.total.device)
        self.total = self.total + torch.where(divisor > 0, loss.detach() * divisor, 0)
        self.rows = self.rows + divisor

    def compute(self) -> Tensor:
        """Return the mean; NaN where nothing was seen."""
        return (self.total / self.rows).float()
