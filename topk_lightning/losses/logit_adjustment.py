"""Logits moved by the logarithm of how often their class occurs: in training by any loss, or once it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.losses import check_at_least_zero
from topk_lightning.losses._class_counts import check_class_counts

__all__ = ["ClassCounts", "LogitAdjusted", "adjust_logits", "fill_class_counts"]


def adjust_logits(
    logits: Tensor, class_counts: Tensor | Sequence[int], strength: float = 1.0, *, class_dim: int = 1
) -> Tensor:
    r"""Return logits of a trained model in which classes with few training images are no longer at a disadvantage.

    With n_c the training images of class c, s_c becomes s_c − α·log(n_c / Σ n). At α = 1 the best class is the best one
    under classes of equal frequency, where the model was trained by plain cross entropy. What was trained by
    :class:`LogitAdjustedCrossEntropyLoss` needs no adjustment.

    Args:
        logits: unnormalised scores, (N, C) or (N, C, d1, …).
        class_counts: training images per class, each at least 1, (C,).
        strength: α ≥ 0; 0 changes nothing.
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        Logits of the same shape and dtype.

    Raises:
        TypeError: if the counts are no whole numbers.
        ValueError: if a count is below 1, or their number is not C.

    Examples:
        Class 0 has ten times the images of class 1: equal logits then speak for class 1, ten to one.

        >>> adjust_logits(torch.zeros(1, 2), [10, 1]).softmax(1)
        tensor([[0.0909, 0.9091]])

    Source:
        Menon et al., ICLR 2021, arXiv:2007.07314, equation (9).
    """
    return logits - _offsets(check_class_counts(class_counts), logits, strength, class_dim)


def _offsets(class_counts: Tensor, logits: Tensor, strength: float, class_dim: int) -> Tensor:
    """Return α·log(n_c / Σ n) in the dtype of the logits, shaped to be added to them."""
    num_classes = logits.shape[class_dim]
    if class_counts.shape != (num_classes,):
        requirement = f"have shape ({num_classes},), one count a class"
        raise InvalidValueError(must("class_counts", requirement, tuple(class_counts.shape)))
    counts = class_counts.to(logits.device, torch.float32 if logits.device.type == "mps" else torch.float64)
    shape = [1] * logits.ndim
    shape[class_dim] = num_classes
    offsets = check_at_least_zero("strength", strength) * (counts / counts.sum()).log()
    return offsets.to(logits.dtype).reshape(shape)


class ClassCounts(nn.Module):
    """Mixin of a loss that needs the training images of each class, which may come after its construction."""

    class_counts: Tensor | None

    def _keep_class_counts(self, class_counts: Tensor | Sequence[int] | None) -> None:
        self.register_buffer("class_counts", None if class_counts is None else check_class_counts(class_counts))

    def with_log_prior(self, logits: Tensor, strength: float, class_dim: int = 1) -> Tensor:
        """Return the logits plus α·log(n_c / Σ n)."""
        if self.class_counts is None:
            remedy = "TopKClassifier takes them from a data module, such as ImageFolderDataModule."
            raise InvalidValueError(must("class_counts", "be given", None, remedy))
        return logits + _offsets(self.class_counts, logits, strength, class_dim)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Counts that came from a data module are in the checkpoint alone.
        counts = state_dict.get(f"{prefix}class_counts")
        if self.class_counts is None and counts is not None:
            self.class_counts = torch.zeros_like(counts)
        super()._load_from_state_dict(state_dict, prefix, *args)


def fill_class_counts(loss: object, class_counts: Sequence[int]) -> None:
    """Give the training images of each class to every part of `loss` that was made without them.

    Args:
        loss: any loss; other than a module it is left alone.
        class_counts: training images per class (C,).
    """
    for part in loss.modules() if isinstance(loss, nn.Module) else ():
        if isinstance(part, ClassCounts) and part.class_counts is None:
            part.class_counts = check_class_counts(class_counts)


class LogitAdjusted(ClassCounts):
    """Any loss on logits to which the log frequency of their class is added, so that rare classes lead by more.

    The network learns scores for classes of equal frequency: use its logits as they are.

    Args:
        loss: a loss, called as ``loss(logits, target)``.
        class_counts: training images per class, each at least 1, (C,); None: from the data module that
            :class:`topk_lightning.TopKClassifier` is trained on.
        strength: α ≥ 0, in units of the log frequency.
        class_dim: the class dimension of the logits.

    Examples:
        >>> from topk_lightning.losses import SmoothTopKSVMLoss
        >>> loss = LogitAdjusted(SmoothTopKSVMLoss(k=1), class_counts=[90, 9, 1])
        >>> target = torch.tensor([2])
        >>> bool(loss(torch.zeros(1, 3), target) > SmoothTopKSVMLoss(k=1)(torch.zeros(1, 3), target))
        True

    Source:
        Menon et al., ICLR 2021, arXiv:2007.07314, equation (10), with any loss in place of cross entropy.
    """

    def __init__(
        self,
        loss: nn.Module,
        class_counts: Tensor | Sequence[int] | None = None,
        strength: float = 1.0,
        *,
        class_dim: int = 1,
    ) -> None:
        super().__init__()
        self.loss = loss
        self._keep_class_counts(class_counts)
        self.strength = check_at_least_zero("strength", strength)
        self.class_dim = class_dim

    @property
    def weight(self) -> Any:
        """The class weights of the loss within."""
        return getattr(self.loss, "weight", None)

    @property
    def ignore_index(self) -> Any:
        """The ignored label of the loss within."""
        return getattr(self.loss, "ignore_index", None)

    @property
    def reduction(self) -> Any:
        """The reduction of the loss within, which may be assigned here."""
        return getattr(self.loss, "reduction", "mean")

    @reduction.setter
    def reduction(self, value: str) -> None:
        self.loss.reduction = value  # type: ignore[assignment]

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        dim = 0 if logits.ndim == 1 else self.class_dim
        loss: Tensor = self.loss(self.with_log_prior(logits, self.strength, dim), target)
        return loss

    def extra_repr(self) -> str:
        """Show the strength."""
        return f"strength={self.strength}"
