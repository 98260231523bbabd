"""Cross entropy for classes of unequal frequency."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_at_least_zero
from topk_lightning.losses._base import ClassificationLoss, loss_function
from topk_lightning.losses._stable import log_share
from topk_lightning.losses.logit_adjustment import ClassCounts

__all__ = ["LogitAdjustedCrossEntropyLoss", "logit_adjusted_cross_entropy_loss"]


class LogitAdjustedCrossEntropyLoss(ClassCounts, ClassificationLoss):
    r"""Cross entropy of logits to which the log frequency of their class is added, so that rare classes lead by more.

    With s the logits, y the target, n_c the training images of class c and α the strength, a row costs

    .. math:: \log\sum_j n_j^{α} e^{s_j} - \log\big(n_y^{α} e^{s_y}\big) \in [0, \infty).

    α = 1 is balanced softmax: its minimiser is the best classifier for classes of equal frequency (the mean of the
    accuracies of the classes). α = 0 is cross entropy. The network's logits are used as they are; for a network that
    plain cross entropy has trained see :func:`~topk_lightning.losses.adjust_logits`, and for other losses
    :class:`~topk_lightning.losses.LogitAdjusted`.

    Args:
        class_counts: training images per class, each at least 1, (C,); None: from the data module that
            :class:`topk_lightning.TopKClassifier` is trained on.
        strength: α ≥ 0.

    Examples:
        Nine images of class 0 to one of class 1: with equal logits class 1 costs log 10.

        >>> import torch
        >>> loss = LogitAdjustedCrossEntropyLoss(class_counts=[9, 1])
        >>> loss(torch.zeros(1, 2), torch.tensor([1])).exp()
        tensor(10.)

    Source:
        Menon et al., ICLR 2021, arXiv:2007.07314, equation (10); at α = 1 Ren et al., NeurIPS 2020, arXiv:2007.10740.
    """

    def __init__(
        self,
        class_counts: Tensor | Sequence[int] | None = None,
        strength: float = 1.0,
        *,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self._keep_class_counts(class_counts)
        self.strength = check_at_least_zero("strength", strength)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        # Only differences matter: against the best class nothing is lost to large scores.
        best = logits.detach().amax(1, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)
        adjusted = self.with_log_prior(logits - best, self.strength)
        return 0 - log_share(adjusted, target.unsqueeze(1)).squeeze(1).to(logits.dtype)


logit_adjusted_cross_entropy_loss = loss_function(LogitAdjustedCrossEntropyLoss)
