"""Arrays of any framework as tensors, without a copy where that can be, and checked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must, shown
from topk_lightning._checks.scores import check_distribution, check_labels

__all__ = ["as_ids", "as_rows", "as_target", "as_tensor"]


def as_tensor(values: Any, name: str) -> Tensor:
    """Return a tensor on the CPU that shares the memory of an array, or the pages of a memory-mapped file."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        array = numpy.asanyarray(values)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if array.dtype.name == "bfloat16":  # of TensorFlow and JAX, which torch does not take from numpy
            return torch.from_numpy(array.view(numpy.int16)).view(torch.bfloat16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of arrays that may not be written to: nobody does
            return torch.from_numpy(array)
    except (TypeError, ValueError, RuntimeError) as error:
        wanted = "be a tensor or an array of numbers"
        raise InvalidTypeError(must(name, wanted, getattr(values, "dtype", type(values).__name__))) from error


def as_rows(values: Any, name: str = "values", whole: bool = False) -> Tensor:
    """Return scores (N, C) with N, C ≥ 1, of a float dtype, or with `whole` class indices."""
    rows = as_tensor(values, name)
    if rows.is_floating_point() == whole or rows.dtype in (torch.bool, torch.complex64, torch.complex128):
        wanted = "hold class indices" if whole else "hold scores of a float dtype"
        raise InvalidTypeError(must(name, wanted, rows.dtype))
    if rows.ndim != 2 or not rows.numel():
        wanted = "have shape (N, C) of at least one row and one class"
        raise InvalidValueError(must(name, wanted, tuple(rows.shape)))
    return rows.long() if whole else rows.float() if rows.dtype.itemsize == 1 else rows


def as_target(target: Any, rows: int, num_classes: int, name: str = "target") -> Tensor:
    """Return class indices (N,) in int64, or distributions over classes (N, C)."""
    values = as_tensor(target, name)
    if values.is_floating_point() and values.shape == (rows, num_classes):
        check_distribution(values, 1, remedy="")
        return values
    if values.shape != (rows,):
        remedy = f"Did you mean {name}.squeeze(1)?" if values.shape == (rows, 1) else ""
        raise InvalidValueError(must(name, f"have shape ({rows},), one class an image", tuple(values.shape), remedy))
    if values.is_floating_point() or values.dtype == torch.bool:
        raise InvalidTypeError(must(name, "be of an integer dtype", values.dtype))
    check_labels(values, num_classes, name)
    return values.long()


def as_ids(ids: Sequence[Any], rows: int) -> list[str]:
    """Return what the images are called, as texts, each once."""
    names = [str(name) for name in ids]
    if len(names) != rows:
        raise InvalidValueError(must("ids", f"hold {rows} names, one an image", len(names)))
    if len(set(names)) < rows:
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidValueError(must("ids", "name each image differently", f"{shown(twice)} twice"))
    return names
