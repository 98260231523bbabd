"""A loss of a linear head of very many classes that never holds the scores of all rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import refuse_second_derivative
from topk_lightning.feature_ranks import cast_by_autocast, check_linear
from topk_lightning.metrics import mean_divisor
from topk_lightning.relaxations.rows import detached_under_no_grad

__all__ = ["LinearTopKLoss"]

# Scores that are held at once, and the fewest rows that they may belong to: each part of the rows reads the whole weight
# twice and its gradient once, which rows fewer than 128 do not pay for. A narrow weight is smaller than so many scores.
_SCORES, _FEWEST, _ENOUGH = 2**22, 64, 128


class LinearTopKLoss(nn.Module):
    r"""Any loss of this library, or cross entropy, of the scores of a linear head, which are never held as a whole.

    With features f, the head's weight W and bias b it is ``loss(f @ W.T + b, target)``: some rows at a time, for each
    of which the gradient is made along with the value. So memory beyond the gradients is that of a few rows of scores,
    whatever the number of rows, at the time of one forward and backward. Call it in place of head and loss in training; the
    head still predicts. The gradient is made in forward even if nobody asks for it: use ``torch.no_grad()`` in validation.
    Not inside ``torch.compile``: leave the loss out and compile the network. Asking for a second derivative, or for a second
    backward of the same call, is an error.

    Shape:
        features (…, D), target (…) of class indices; or features (N, D), target (N, C) of distributions over classes. To ().

    Args:
        head: ``nn.Linear(D, C)``, or a module with its `weight` and `bias`; it is part of this module, and trained by it.
        loss: a module, called as ``loss(logits, target)``, whose reduction is "mean" or "sum".

    Raises:
        TypeError: if a type or dtype is wrong.
        ValueError: if shapes do not match, or the loss returns one value a row.

    Examples:
        >>> from topk_lightning.losses import SmoothTopKSVMLoss
        >>> head, loss = nn.Linear(8, 20_000), SmoothTopKSVMLoss(k=5)
        >>> features, target = torch.randn(16, 8), torch.randint(20_000, (16,))
        >>> blockwise = LinearTopKLoss(head, loss)(features, target)
        >>> bool((blockwise - loss(head(features), target)).abs() < 1e-5)
        True

    Source:
        For cross entropy: Wijmans et al., ICLR 2025, arXiv:2411.09009; Hsu et al., 2024, arXiv:2410.10989 (which make the
        gradient in forward too).
    """

    def __init__(self, head: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        weight = getattr(head, "weight", None)
        if not isinstance(head, nn.Module) or not isinstance(weight, Tensor) or weight.ndim != 2:
            raise InvalidTypeError(must("head", "be an nn.Linear or a module with its weight (C, D)", repr(head)))
        if not isinstance(loss, nn.Module) or not hasattr(loss, "reduction"):
            raise InvalidTypeError(
                must("loss", "be a module with a reduction, such as SmoothTopKSVMLoss()", repr(loss))
            )
        if any(parameter.requires_grad for parameter in loss.parameters()):
            raise InvalidValueError(must("loss", "have no parameters to be trained", type(loss).__name__))
        self.head, self.loss = head, loss
        self._check_reduction()

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        head: Any = self.head
        features, weight, bias = cast_by_autocast(features, head.weight, getattr(head, "bias", None))
        check_linear(features, weight, bias)
        reduction = self._check_reduction()
        rows = features.reshape(-1, features.shape[-1])
        is_soft = isinstance(target, Tensor) and target.is_floating_point()
        wanted = (len(rows), len(weight)) if is_soft else features.shape[:-1]
        if not isinstance(target, Tensor) or target.shape != wanted:
            actual = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
            requirement = f"have shape {tuple(wanted)} to match features of shape {tuple(features.shape)}"
            raise InvalidValueError(must("target", requirement, actual))
        target = target if is_soft else target.reshape(-1)
        divisor = mean_divisor(self.loss, target, target) if reduction == "mean" else None
        inputs = [None if each is None else detached_under_no_grad(each) for each in (rows, weight, bias)]
        total: Tensor = _LinearLoss.apply(*inputs, target, self.loss)
        return total if divisor is None else total / divisor.to(total.dtype)

    def _check_reduction(self) -> str:
        reduction = self.loss.reduction
        if reduction not in ("mean", "sum"):
            raise InvalidValueError(must("loss.reduction", 'be "mean" or "sum"', repr(reduction)))
        return str(reduction)


class _LinearLoss(torch.autograd.Function):
    """The sum of the loss over all rows; keeps its gradient by features, weight and bias."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, loss: nn.Module
    ) -> Tensor:
        needs_features, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        # Many parts are added to what few classes hold, in at least float32.
        wide = torch.promote_types(weight.dtype, torch.float32)
        by_features = torch.empty_like(features) if needs_features else None
        by_weight = torch.zeros_like(weight, dtype=wide) if needs_weight else None
        by_bias = torch.zeros_like(weight[:, 0], dtype=wide) if needs_bias else None
        total = torch.zeros((), dtype=wide, device=features.device)
        step = max(_SCORES // len(weight), _FEWEST, min(_ENOUGH, weight.shape[1] // 4))
        with _summing(loss):
            for start in range(0, len(features), step):
                part = slice(start, start + step)
                by_logits = None  # the memory of the part before
                value, by_logits = _value_and_gradient(
                    loss, features[part], weight, bias, target[part], any(ctx.needs_input_grad)
                )
                total += value
                if by_logits is None:
                    continue
                if by_features is not None:
                    torch.mm(by_logits, weight, out=by_features[part])
                if by_weight is not None and by_weight.dtype == by_logits.dtype:
                    by_weight.addmm_(by_logits.t(), features[part])
                elif by_weight is not None:
                    by_weight += by_logits.t() @ features[part]
                if by_bias is not None:
                    by_bias += by_logits.sum(0, dtype=wide)
        # Not by save_for_backward: backward scales them in place, where the weight's may be all that fits.
        ctx.gradients, ctx.dtype = (by_features, by_weight, by_bias), weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        refuse_second_derivative()
        if ctx.gradients is None:
            raise RuntimeError(
                "The gradient of LinearTopKLoss is made once: call the loss again for a second backward."
            )
        by_features, by_weight, by_bias = (
            None if gradient is None else gradient.mul_(grad).to(ctx.dtype) for gradient in ctx.gradients
        )
        ctx.gradients = None
        return by_features, by_weight, by_bias, None, None


def _value_and_gradient(
    loss: nn.Module, features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, needs_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the loss of some rows and its gradient by their scores, which are let go as soon as the loss has them."""
    with torch.set_grad_enabled(needs_gradient):
        logits = F.linear(
            features.detach().requires_grad_(needs_gradient), weight.detach(), None if bias is None else bias.detach()
        )
        if not needs_gradient:
            value: Tensor = loss(logits, target)
            return value, None
        place = torch.autograd.graph.get_gradient_edge(logits)
        value = loss(logits, target)
        del logits
        return value.detach(), torch.autograd.grad(value, place)[0]


@contextlib.contextmanager
def _summing(loss: Any) -> Iterator[None]:
    """Let a loss add up its rows."""
    before, loss.reduction = loss.reduction, "sum"
    try:
        yield
    finally:
        loss.reduction = before
