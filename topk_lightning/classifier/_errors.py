"""What TopKClassifier says of losses, batches and checkpoints that it cannot work with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.metric_as_loss import check_differentiable, refuse_metric
from topk_lightning._checks.options import check_integer

__all__ = ["check_class_count", "check_loss", "check_scalar_loss", "not_restored"]

_LOSSES = "torch.nn.CrossEntropyLoss or one of topk_lightning.losses"


def check_class_count(num_classes: int | None, class_names: Sequence[str] | None) -> int:
    """Return the number of classes: given, or as many as there are names."""
    if num_classes is None and class_names is None:
        remedy = "For a data module, pass num_classes=datamodule.num_classes."
        raise InvalidValueError(must("num_classes", "be given where class_names is not", None, remedy))
    return check_integer("num_classes", num_classes if class_names is None else len(class_names), minimum=2)


def check_loss(loss: Any) -> None:
    """Raise if `loss` cannot be called, or is a metric."""
    refuse_metric(loss)
    if isinstance(loss, type):
        name = loss.__name__
        requirement = "be an object that is called with (logits, target)"
        raise InvalidTypeError(must("loss", requirement, f"the class {name}", f"Did you mean {name}()?"))
    if not callable(loss):
        raise InvalidTypeError(must("loss", "be a callable of (logits, target)", f"{loss!r}", f"Use {_LOSSES}."))


def check_scalar_loss(loss: Any, logits: Tensor) -> Tensor:
    """Return the value of a loss if it is one number, with a gradient where the logits have one."""
    requirement = "return one number (a tensor of shape ())"
    if not isinstance(loss, Tensor):
        raise InvalidTypeError(must("loss", requirement, type(loss).__name__, f"Use {_LOSSES}."))
    check_differentiable(loss, logits)
    if loss.ndim:
        raise InvalidValueError(must("loss", requirement, f"shape {tuple(loss.shape)}", 'Use reduction="mean".'))
    return loss


def not_restored(argument: str, what: str) -> InvalidValueError:
    """Return the error for a loss or optimizer that a checkpoint could not keep as plain data."""
    wrong = f"a checkpoint of {what}, which cannot be rebuilt by name"
    return InvalidValueError(must(argument, "be given again", wrong, f"Pass {argument}= to load_from_checkpoint."))
