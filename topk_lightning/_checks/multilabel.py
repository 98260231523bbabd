"""Checks of multi-hot targets."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = ["check_multi_hot"]


def check_multi_hot(target: object, preds: Tensor) -> None:
    """Check that `target` has the shape of `preds` and holds only 0 and 1."""
    if not isinstance(target, Tensor):
        raise InvalidTypeError(
            must("target", "be a torch.Tensor", type(target).__name__, "Convert it with torch.as_tensor.")
        )
    if target.shape != preds.shape:
        remedy = "For one class index a row use TopKAccuracy." if target.ndim == preds.ndim - 1 else ""
        raise InvalidValueError(
            must("target", f"have the shape of preds {tuple(preds.shape)}, multi-hot", tuple(target.shape), remedy)
        )
    if torch.compiler.is_compiling() or target.numel() == 0:
        return
    wrong = (target != 0) & (target != 1)
    if wrong.any():
        raise InvalidValueError(must("target", "be multi-hot (only 0 and 1)", f"{target[wrong][0].item():g}"))
