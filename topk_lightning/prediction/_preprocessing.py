"""Preprocessing that may be given as a dict, and a prepared image as pixels again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from topk_lightning.data import Preprocessing

__all__ = ["as_preprocessing", "picture_of"]


def picture_of(prepared: Tensor, preprocessing: Any) -> Tensor:
    """Return pixels (H, W, channels) in [0, 1] of a prepared image (channels, H, W).

    Args:
        prepared: the image.
        preprocessing: whose normalisation is undone; None: the range of the values becomes that from black to white.
    """
    pixels = prepared.detach().float().cpu().nan_to_num()
    if preprocessing is None:
        low, high = pixels.aminmax()
        pixels = (pixels - low) / (high - low).clamp(min=torch.finfo(pixels.dtype).tiny)
    else:
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (preprocessing.mean, preprocessing.std))
        pixels = pixels * std + mean
    return pixels.clamp(0, 1).movedim(0, -1)


def as_preprocessing(given: Any) -> Preprocessing:
    """Return preprocessing, given as such or as the dict of one."""
    if not isinstance(given, Mapping):
        return cast("Preprocessing", given)
    from topk_lightning.data import Preprocessing

    return Preprocessing.from_dict(given)
