"""Checks of what only losses take: logits, temperature, class weights, reduction."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_number, check_positive
from topk_lightning._checks.scores import check_distribution, check_labels, check_scores, check_target

__all__ = [
    "check_at_least_zero",
    "check_class_weight",
    "check_logits_and_labels",
    "check_logits_and_target",
    "check_reduction",
    "check_rows",
    "check_temperature",
    "reads_values",
    "refuse_second_derivative",
]

REDUCTIONS = ("mean", "sum", "none")


def reads_values(tensor: Tensor) -> bool:
    """Return whether checks may read the values of `tensor`: in eager mode on a CPU.

    Reading them would break a compiled graph, and would make an accelerator wait.
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def symbolic_float(value: float) -> float:
    """Return `value` as a number of the graph that is being compiled.

    A symbolic number belongs to the graph that uses it first. If that is the graph of an autograd.Function, a later use
    outside of it ends the compilation (torch 2.14); so it is used here, before any.
    """
    return float(value)


def check_reduction(reduction: object) -> str:
    """Return `reduction` if it is one of torch.nn's."""
    return check_choice("reduction", reduction, REDUCTIONS)


def check_temperature(temperature: float, name: str = "temperature") -> float:
    """Return `temperature` as a finite float above 0; unread inside a compiled graph, where it may be symbolic."""
    return symbolic_float(temperature) if torch.compiler.is_compiling() else check_positive(name, temperature)


def check_at_least_zero(name: str, value: float) -> float:
    """Return `value` as a finite float of at least 0; unread inside a compiled graph, where it may be symbolic."""
    if torch.compiler.is_compiling():
        return symbolic_float(value)
    number = check_number(name, value, "be a finite number of at least 0")
    if number < 0:
        raise InvalidValueError(must(name, "be a finite number of at least 0", value))
    return number


def check_logits_and_target(logits: object, target: object, class_dim: int) -> tuple[int, bool]:
    """Return the class dimension counted from the front, and whether `target` is a distribution over classes."""
    dim = check_scores(logits, class_dim, "logits")
    logits = cast(Tensor, logits)
    if not logits.is_floating_point():
        raise InvalidTypeError(must("logits", "be of a float dtype", logits.dtype, "Did you mean logits.float()?"))
    soft = check_target(target, logits, dim, "logits")
    if soft and isinstance(target, Tensor) and target.requires_grad:
        raise InvalidValueError(
            must("target", "not require a gradient", "target.requires_grad=True", "Did you mean target.detach()?")
        )
    return dim, soft


def check_logits_and_labels(logits: object, target: object, class_dim: int) -> int:
    """Return the class dimension counted from the front; a distribution over classes is no label."""
    dim, soft = check_logits_and_target(logits, target, class_dim)
    if soft:
        actual = "a float tensor of the shape of the logits"
        raise InvalidTypeError(must("target", "hold class indices of an integer dtype", actual))
    return dim


def check_rows(target: Tensor, num_classes: int) -> None:
    """Check labels (M,) in [0, C), or distributions (M, C), where their values may be read."""
    if not reads_values(target):
        return
    if target.ndim == 2:
        check_distribution(target, 1, remedy="Divide a target of several classes by its row sums.")
    else:
        check_labels(target, num_classes)


def check_class_weight(weight: object, num_classes: int, logits: Tensor) -> Tensor | None:
    """Return `weight` (C,) in the dtype of `logits`, or None."""
    if weight is None:
        return None
    if not isinstance(weight, Tensor):
        raise InvalidTypeError(must("weight", "be a torch.Tensor or None", type(weight).__name__))
    if weight.shape != (num_classes,):
        raise InvalidValueError(must("weight", f"have shape ({num_classes},), one weight a class", tuple(weight.shape)))
    if weight.device != logits.device:
        remedy = "Move the loss with loss.to(device)."
        raise InvalidValueError(
            must("weight", f"be on the device of the logits ({logits.device})", weight.device, remedy)
        )
    if reads_values(weight) and not (weight >= 0).all():
        raise InvalidValueError(must("weight", "be at least 0 for each class", float(weight.min())))
    return weight.to(logits.dtype)


def refuse_second_derivative() -> None:
    """Refuse to be differentiated again; called in the backward of a function written by hand.

    Under create_graph=True such a gradient would count as a constant without a word.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise RuntimeError(
            "The gradient of this loss cannot be differentiated again: call backward without create_graph=True."
        )
