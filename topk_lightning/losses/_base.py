"""The module that all losses are, and the function that each of them has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning._checks.losses import check_reduction
from topk_lightning._checks.options import check_k
from topk_lightning.class_shards import ClassShard, is_sharded
from topk_lightning.losses._reduce import reduce_rows
from topk_lightning.losses._sharded import reduce_shard
from topk_lightning.ranking import topk_indices

__all__ = ["ClassificationLoss", "check_optional_k", "float_tensor", "loss_function", "settle_k"]

P = ParamSpec("P")

# The text of what is the same for each loss, which stands before the examples of its docstring.
_SHARED = """
    weight: one weight ≥ 0 a class, (C,); a buffer, so it moves with the module.
    ignore_index: class indices of this value count nothing.
    reduction: "mean" (divides by the weight of all rows), "sum" or "none".
    class_dim: the class dimension, -1 for (N, T, C) sequences.

Shape:
    As ``nn.CrossEntropyLoss``: logits (N, C), (N, C, d1, …) or (C,) of a float dtype; target (N,), (N, d1, …) or () of
    class indices, or a float distribution over classes of the shape of the logits. To a scalar, or one value a row.

Raises:
    TypeError: if a type or dtype is wrong.
    ValueError: if k > C, or an option, a shape or a label is out of range."""


def float_tensor(values: Tensor | Sequence[float]) -> Tensor:
    """Return float tensors as they are and all else in float32."""
    if isinstance(values, Tensor) and values.is_floating_point():
        return values
    return torch.as_tensor(values, dtype=torch.float32)


def check_optional_k(k: int | None) -> int | None:
    """Return `k` if it is None or at least 1."""
    return None if k is None else check_k(k)


def settle_k(k: int | None, num_classes: int) -> int:
    """Return the k of a call: for None the largest of 1, 3, 5 below C, since at k = C nothing is left to learn."""
    if k is None:
        return next(each for each in (5, 3, 1) if each < num_classes or each == 1)
    return check_k(k, num_classes)


class ClassificationLoss(nn.Module):
    """Base of the losses: a drop-in for ``nn.CrossEntropyLoss``, called as ``loss(logits, target)``.

    Options are plain attributes that may be assigned after construction (a callback anneals ``loss.temperature``,
    fastai swaps ``loss.reduction``); they are checked when the loss is called. A subclass keeps its own options,
    checks them in its constructor, and overrides ``rows``.

    Args:
        weight: one weight ≥ 0 a class, (C,); a buffer, so it moves with the module.
        ignore_index: class indices of this value count nothing.
        reduction: "mean", "sum" or "none".
        class_dim: the class dimension, -1 for (N, T, C) sequences.
    """

    y_int = True
    """What fastai's MixUp asks: it may mix two losses of class indices instead of mixing targets."""

    weight: Tensor | None

    def __init_subclass__(cls) -> None:
        """Complete the docstring with what all losses share."""
        super().__init_subclass__()
        if cls.__doc__:
            cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("\n\nExamples:", f"{_SHARED}\n\nExamples:", 1)

    def __init__(
        self,
        *,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", None if weight is None else float_tensor(weight))
        self.ignore_index = ignore_index
        self.reduction = check_reduction(reduction)
        self.class_dim = class_dim

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row, (M,), of float32 or float64 logits (M, C) and labels (M,) in [0, C)."""
        raise NotImplementedError

    def sharded_rows(self, shard: ClassShard, target: Tensor) -> Tensor:
        """Return the loss of each row, (M,), where each process has the logits of some classes."""
        remedy = "TemperatureCrossEntropyLoss and TruncatedTopKEntropyLoss take such logits."
        raise InvalidTypeError(must("logits", f"be whole for {type(self).__name__}", "a DTensor", remedy))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        if is_sharded(logits):
            return reduce_shard(
                self.sharded_rows,
                logits,
                target,
                weight=self.weight,
                ignore_index=self.ignore_index,
                reduction=self.reduction,
            )
        return reduce_rows(
            self.rows,
            logits,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            class_dim=self.class_dim,
        )

    def activation(self, logits: Tensor) -> Tensor:
        """Return probabilities, the softmax of the logits at temperature 1 (fastai's Learner calls this)."""
        return logits.softmax(self.class_dim)

    def decodes(self, logits: Tensor) -> Tensor:
        """Return the best class of each row by the order rule (fastai's Learner calls this)."""
        return topk_indices(logits, 1, class_dim=self.class_dim).squeeze(self.class_dim)

    def extra_repr(self) -> str:
        """Show the options that are no tensors."""
        names = [name for name in inspect.signature(type(self)).parameters if name not in (*self._buffers, "generator")]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def loss_function(module: Callable[P, ClassificationLoss]) -> Callable[Concatenate[Tensor, Tensor, P], Tensor]:
    """Return the function ``x_loss(logits, target, ...)`` of the module ``XLoss(...)``, with the same options."""

    def function(logits: Tensor, target: Tensor, *args: P.args, **options: P.kwargs) -> Tensor:
        loss: Tensor = module(*args, **options)(logits, target)
        return loss

    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", module.__name__.replace("TopK", "Topk"))
    function.__name__ = function.__qualname__ = words.lower()
    function.__module__, function.__doc__ = module.__module__, module.__doc__
    signature = inspect.signature(module)
    scores = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Tensor")
        for name in ("logits", "target")
    ]
    parameters = [*scores, *signature.parameters.values()]
    function.__signature__ = inspect.Signature(parameters, return_annotation="Tensor")  # type: ignore[attr-defined]
    return function  # type: ignore[return-value]  # logits and target may be named too
