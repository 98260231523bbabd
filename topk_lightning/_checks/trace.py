"""Checks of the trace of a prediction: one image, its true class, what the network returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_integer

__all__ = ["check_one_image", "check_one_row", "check_true_class"]


def check_one_image(images: Iterator[Any]) -> Any:
    """Return the only image of an iterator."""
    found = list(islice(images, 2))
    if len(found) != 1:
        raise InvalidValueError(must("image", "be one image", "more than one" if found else "none"))
    return found[0]


def check_one_row(logits: object) -> Tensor:
    """Return the output of a network for one image if it is one row of logits (1, C)."""
    wanted = "return logits of shape (1, C) for one image"
    if not isinstance(logits, Tensor):
        remedy = "Wrap it in a module that returns the logits alone."
        raise InvalidTypeError(must("model", wanted, type(logits).__name__, remedy))
    if logits.ndim != 2 or logits.shape[0] != 1:
        raise InvalidValueError(must("model", wanted, tuple(logits.shape)))
    return logits


def check_true_class(target: object, class_names: Sequence[str] | None, num_classes: int) -> int:
    """Return the index of the true class, which is given as an index, also as text, or as a name."""
    if isinstance(target, str) and target.isdecimal() and target not in (class_names or ()):
        target = int(target)
    if not isinstance(target, str):
        index = check_integer("target", target, 0)
        if index >= num_classes:
            raise InvalidValueError(must("target", f"be a class index in [0, {num_classes}) or a class name", index))
        return index
    if class_names is None:
        raise InvalidValueError(must("target", "be a class index, as the model has no class names", repr(target)))
    if target not in class_names:
        near = get_close_matches(target, class_names, 1)
        raise InvalidValueError(
            must("target", "be the name of a class", repr(target), f"Did you mean {near[0]!r}?" if near else "")
        )
    return list(class_names).index(target)
