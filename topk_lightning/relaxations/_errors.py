"""Checks of what relaxations take: scores with their classes last, and a column of them."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import check_temperature
from topk_lightning._checks.options import check_k

__all__ = ["check_column", "check_relaxation_scores"]


def check_relaxation_scores(scores: object, k: int, temperature: float) -> tuple[Tensor, int, float]:
    """Return float `scores` (…, C) as float32 or float64 rows (M, C), k with 1 ≤ k ≤ C and a temperature above 0."""
    if not isinstance(scores, Tensor):
        raise InvalidTypeError(
            must("scores", "be a torch.Tensor", type(scores).__name__, "Convert it with torch.as_tensor.")
        )
    if not scores.is_floating_point():
        raise InvalidTypeError(must("scores", "be of a float dtype", scores.dtype, "Did you mean scores.float()?"))
    if scores.ndim == 0:
        raise InvalidValueError(must("scores", "have shape (…, C)", "()"))
    num_classes = scores.shape[-1]
    k = check_k(k, num_classes)
    rows = scores if scores.dtype == torch.float64 else scores.float()
    return rows.reshape(-1, num_classes), k, check_temperature(temperature)


def check_column(column: object, scores: Tensor) -> Tensor | None:
    """Return the class indices `column` of the shape of `scores` without its classes as int64 (M, 1), or None."""
    if column is None:
        return None
    if not isinstance(column, Tensor):
        raise InvalidTypeError(must("column", "be a torch.Tensor or None", type(column).__name__))
    if column.is_floating_point() or column.is_complex() or column.dtype == torch.bool:
        raise InvalidTypeError(must("column", "be of an integer dtype", column.dtype))
    if column.shape != scores.shape[:-1]:
        requirement = f"have shape {tuple(scores.shape[:-1])} to match scores of shape {tuple(scores.shape)}"
        raise InvalidValueError(must("column", requirement, tuple(column.shape)))
    return column.long().reshape(-1, 1)
