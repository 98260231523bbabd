"""The images of each class, as losses for a long tail take them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = ["check_class_counts"]


def check_class_counts(class_counts: Tensor | Sequence[int]) -> Tensor:
    """Return the images per class (C,), each at least 1."""
    counts = torch.as_tensor(class_counts)
    if counts.is_floating_point() or counts.is_complex() or counts.dtype == torch.bool:
        raise InvalidTypeError(must("class_counts", "be of an integer dtype", counts.dtype))
    if counts.ndim != 1 or counts.numel() == 0:
        raise InvalidValueError(must("class_counts", "have shape (C,), one count a class", tuple(counts.shape)))
    if (counts < 1).any():
        remedy = "Leave out a class without training images, or count it as 1."
        raise InvalidValueError(must("class_counts", "be at least 1 for each class", int(counts.min()), remedy))
    return counts
