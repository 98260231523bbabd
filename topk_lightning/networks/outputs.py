"""What a network returns: logits, one row an image, looked at before anything is made of them."""

from __future__ import annotations

import warnings

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.scores import are_probabilities

__all__ = ["are_probabilities", "check_logits", "warn_of_probabilities"]


def check_logits(logits: object, rows: int, num_classes: int | None) -> Tensor:
    """Return the output of a network if it is one row of `num_classes` logits an image; None: of any number.

    An object with an attribute `logits`, as networks of Hugging Face return, stands for these.
    """
    logits = logits if isinstance(logits, Tensor) else getattr(logits, "logits", logits)
    number = "C" if num_classes is None else num_classes
    wanted = f"return logits of shape ({rows}, {number})"
    if not isinstance(logits, Tensor):
        remedy = "Switch its auxiliary outputs off, or wrap it in a module that returns the logits alone."
        raise InvalidTypeError(must("network", wanted, type(logits).__name__, remedy))
    if logits.ndim != 2 or tuple(logits.shape) != (rows, logits.shape[1] if num_classes is None else num_classes):
        remedy = f"Give its last layer {number} outputs, one a class."
        raise InvalidValueError(must("network", wanted, tuple(logits.shape), remedy))
    return logits


def warn_of_probabilities(outputs: Tensor, stacklevel: int = 2) -> None:
    """Warn where rows (N, C) that are taken for logits are probabilities: a second softmax would flatten them.

    Metrics, which only order, need not ask; whoever makes probabilities of logits does, once, at the first batch.
    """
    if outputs.ndim == 2 and are_probabilities(outputs):
        wanted = "return logits, of which probabilities are made"
        remedy = "Remove the softmax at its end: what is shown is too flat."
        warnings.warn(must("network", wanted, "rows of probabilities", remedy), stacklevel=stacklevel + 1)
