"""Cross entropy of logits divided by a temperature."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.losses import check_temperature
from topk_lightning._checks.options import check_choice, check_fraction
from topk_lightning.class_shards import ClassShard
from topk_lightning.losses._base import ClassificationLoss, loss_function
from topk_lightning.losses._sharded import log_odds
from topk_lightning.losses._stable import log_share, softplus

__all__ = ["TemperatureCrossEntropyLoss", "temperature_cross_entropy_loss"]

SCALES = {"none": 0, "T": 1, "T2": 2}


class TemperatureCrossEntropyLoss(ClassificationLoss):
    r"""Cross entropy between the target and softmax(logits / temperature).

    With s the logits, y the target, t the temperature and ε the label smoothing, a row costs

    .. math:: f \cdot \Big(\log\sum_j e^{s_j/t} - (1 - ε) \frac{s_y}{t} - \frac{ε}{C} \sum_j \frac{s_j}{t}\Big),
              \qquad f = 1, t, t^2 \text{ for scale\_loss "none", "T", "T2", in } [0, \infty).

    t = 1 is cross entropy. With "T", t → 0 is the hard loss max_j s_j − s_y. The gradient is f/t · (softmax(s/t) − q):
    under "none" it grows as 1/t while t is annealed down, which acts like a growing learning rate; "T" keeps its size
    at a confident mistake; "T2" keeps it, for logits small against t, where the target is a teacher's softmax at the
    same t (distillation), and grows as t against a hard target.

    Args:
        temperature: t > 0, in units of the logits; larger is smoother.
        scale_loss: "none", "T" or "T2", the factor f.
        label_smoothing: ε in [0, 1], the share of the target that is spread over all C classes. A masked (−inf)
            class then costs +inf, as in torch. `weight` weighs the row by its target, label smoothing included (torch
            weighs each class's term of the smoothing by its own weight, so with both options the values differ).

    Examples:
        Logits 0 and 2·log 3 at temperature 2 are odds of 3 to 1 for class 1, so class 0 costs log 4.

        >>> import math, torch
        >>> loss = TemperatureCrossEntropyLoss(temperature=2.0)
        >>> loss(torch.tensor([[0.0, 2 * math.log(3)]]), torch.tensor([0])).exp()
        tensor(4.)

    Source:
        Hinton, Vinyals, Dean, 2015, arXiv:1503.02531, section 2 (temperature, factor t²).
    """

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        scale_loss: str = "none",
        label_smoothing: float = 0.0,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.temperature = check_temperature(temperature)
        self.scale_loss = check_choice("scale_loss", scale_loss, SCALES)
        self.label_smoothing = check_fraction("label_smoothing", label_smoothing)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        temperature = check_temperature(self.temperature)
        factor = temperature ** SCALES[check_choice("scale_loss", self.scale_loss, SCALES)]
        smoothing = check_fraction("label_smoothing", self.label_smoothing)
        loss = 0 - log_share(logits, target.unsqueeze(1), temperature).squeeze(1).to(logits.dtype)
        if smoothing:
            scaled = (logits - logits.detach().amax(1, keepdim=True)) / temperature
            loss = (1 - smoothing) * loss + smoothing * (scaled.logsumexp(1) - scaled.mean(1))
        return factor * loss

    def sharded_rows(self, shard: ClassShard, target: Tensor) -> Tensor:
        """Return the loss of each row where each process has the logits of some classes."""
        temperature = check_temperature(self.temperature)
        factor = temperature ** SCALES[check_choice("scale_loss", self.scale_loss, SCALES)]
        if self.label_smoothing:
            raise InvalidValueError(
                must("label_smoothing", "be 0 for logits that are sharded by class", self.label_smoothing)
            )
        return factor * softplus(log_odds(shard, target, target.new_empty(len(target), 0), temperature))


temperature_cross_entropy_loss = loss_function(TemperatureCrossEntropyLoss)
