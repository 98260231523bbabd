"""Checks of confusions that are looked at through a hierarchy of several levels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = ["check_confusions", "check_levels"]


def check_levels(levels: object) -> None:
    """Check that there is at least one level, by name."""
    if not isinstance(levels, Mapping):
        remedy = 'Did you mean {"group": fine_to_coarse}?'
        raise InvalidTypeError(
            must("levels", "be a dict {level: groups of the classes}", type(levels).__name__, remedy)
        )
    if not levels:
        raise InvalidValueError(must("levels", "hold at least one level", "none"))


def check_confusions(confusions: object, num_classes: int) -> Tensor:
    """Return the counted pairs of classes (M, 3) as int64 on the CPU."""
    if not isinstance(confusions, Tensor):
        raise InvalidTypeError(must("confusions", "be a torch.Tensor", type(confusions).__name__))
    if confusions.ndim != 2 or confusions.shape[1] != 3:
        remedy = "ClassReport.confusions() returns them."
        wanted = "have shape (M, 3): actual class, predicted class, count"
        raise InvalidValueError(must("confusions", wanted, tuple(confusions.shape), remedy))
    if confusions.is_floating_point() or confusions.is_complex() or confusions.dtype == torch.bool:
        raise InvalidTypeError(must("confusions", "be of an integer dtype", confusions.dtype))
    pairs = confusions[:, :2]
    if pairs.numel() and not (pairs.min() >= 0 and pairs.max() < num_classes):
        wrong = int(pairs.min()) if pairs.min() < 0 else int(pairs.max())
        raise InvalidValueError(
            must("confusions", f"hold class indices in [0, {num_classes}), as the levels do", wrong)
        )
    return confusions.cpu().long()
