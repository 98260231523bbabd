"""Checks of TopKClassifier: classes, loss, fine-tuning, checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingPackageError, must
from topk_lightning._checks.metric_as_loss import check_differentiable, refuse_metric
from topk_lightning._checks.options import check_integer

__all__ = [
    "check_batch",
    "check_class_count",
    "check_class_names",
    "check_loss",
    "check_same_classes",
    "check_scalar_loss",
    "missing_lightning",
    "not_restored",
]

_LOSSES = "torch.nn.CrossEntropyLoss or one of topk_lightning.losses"


def check_class_names(names: Sequence[str] | Mapping[Any, Any], num_classes: int | None = None) -> list[str]:
    """Return class names as a list in the order of the class indices.

    Args:
        names: a list, {index: name} or {name: index} (torchvision's class_to_idx).
        num_classes: how many there must be.
    """
    wanted = "be a list of names, {index: name} or {name: index}"
    if isinstance(names, Mapping):
        by_index: dict[Any, Any] = dict(names)
        if by_index and all(isinstance(key, str) for key in by_index):
            by_index = {index: name for name, index in names.items()}
            repeated = [index for index, count in Counter(names.values()).items() if count > 1]
            if repeated:
                raise InvalidValueError(
                    must("class_names", "give each index to one name", f"index {repeated[0]} twice")
                )
        if not all(isinstance(key, int) and not isinstance(key, bool) for key in by_index):
            raise InvalidTypeError(must("class_names", wanted, repr(names)))
        missing = sorted(set(range(len(by_index))) - set(by_index))
        if missing:
            raise InvalidValueError(
                must("class_names", f"name every index from 0 to {len(by_index) - 1}", f"none for {missing[0]}")
            )
        names = [by_index[index] for index in range(len(by_index))]
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InvalidTypeError(must("class_names", wanted, type(names).__name__))
    for name in names:
        if not isinstance(name, str):
            raise InvalidTypeError(must("class_names", "hold texts", f"{name!r} of type {type(name).__name__}"))
    if num_classes is not None and len(names) != num_classes:
        raise InvalidValueError(must("class_names", f"hold {num_classes} names, one a class", len(names)))
    return list(names)


def check_class_count(num_classes: int | None, class_names: Sequence[str] | None) -> int:
    """Return the number of classes: given, or as many as there are names."""
    if num_classes is None and class_names is None:
        remedy = "For a data module, pass num_classes=datamodule.num_classes."
        raise InvalidValueError(must("num_classes", "be given where class_names is not", None, remedy))
    return check_integer("num_classes", num_classes if class_names is None else len(class_names), minimum=2)


def check_same_classes(model: Sequence[str] | None, data: Sequence[str], num_classes: int) -> None:
    """Raise if the data module numbers other classes, or the same classes in another order."""
    if len(data) != num_classes:
        raise InvalidValueError(
            must("num_classes", f"be {len(data)}, the number of classes of the data module", num_classes)
        )
    if model is not None and sorted(model) == sorted(data) and list(model) != list(data):
        at = next(i for i, (a, b) in enumerate(zip(model, data, strict=True)) if a != b)
        raise InvalidValueError(
            must(
                "class_names",
                "be in the order of the data module",
                f"{model[at]!r} where it has {data[at]!r} (index {at})",
                "Pass class_names=datamodule.class_names.",
            )
        )


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


def check_batch(batch: Any) -> tuple[Any, Any]:
    """Return (images, target) of a batch."""
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        found = f"{len(batch)} parts" if isinstance(batch, list | tuple) else type(batch).__name__
        raise InvalidTypeError(must("batch", "be a pair (images, target)", found))
    return batch[0], batch[1]


def missing_lightning() -> ModuleNotFoundError:
    """Return the error for `topk_lightning.lightning` where `lightning` is not installed."""
    return MissingPackageError(
        must(
            "topk_lightning.lightning",
            "be imported where the package lightning is installed",
            "an environment without it",
            "Install lightning, or import the same names from topk_lightning for pytorch_lightning.",
        )
    )


def not_restored(argument: str, what: str) -> ValueError:
    """Return the error for a loss or optimizer that a checkpoint could not keep as plain data."""
    return InvalidValueError(
        must(
            argument,
            "be given again",
            f"a checkpoint of {what}, which cannot be rebuilt by name",
            f"Pass {argument}= to load_from_checkpoint.",
        )
    )
