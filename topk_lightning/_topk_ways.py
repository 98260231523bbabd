"""The k best of each row by the order rule, the quickest way on each device; only ranking.py uses it."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

__all__ = ["best_of_rows"]

# Whole numbers whose arithmetic torch lacks.
_SORTED = (torch.uint16, torch.uint32, torch.uint64)


def best_of_rows(scores: Tensor, k: int) -> Tensor:
    """Return the indices (…, k) of the k best of each row of (…, C), best first."""
    compiling, device = torch.compiler.is_compiling(), scores.device.type
    # Whoever exports has imported it; asking torch for it would import it for every prediction.
    if (compiling or "torch.onnx" in sys.modules) and torch.onnx.is_in_onnx_export():
        return _topk_of_onnx(scores, k)
    if k == 1 and not compiling and device in ("cpu", "cuda"):
        # Of equal scores torch.max names the first, and NaN is its largest: a sixth of the time of what follows.
        return scores.max(dim=-1, keepdim=True).indices
    if k == scores.shape[-1] or scores.dtype in _SORTED or device == "mps":
        return _falling(scores)[..., :k]
    return _topk_of_keys(scores, k) if compiling or device != "cpu" else _topk_where_no_tie_is_open(scores, k)


def _falling(scores: Tensor) -> Tensor:
    return scores.sort(dim=-1, descending=True, stable=True).indices


def _topk_where_no_tie_is_open(scores: Tensor, k: int) -> Tensor:
    """Take torch.topk, which finds the right scores, but leaves open which of the classes that tie it names.

    One score more shows the rows in which the k-th ties with the next; only these are sorted whole.
    """
    values, indices = scores.topk(k + 1, dim=-1)
    open_rows = (values[..., k - 1] == values[..., k]) | values[..., k].isnan()
    indices = indices[..., :k].sort(dim=-1).values
    indices = indices.gather(-1, _falling(scores.gather(-1, indices)))
    if open_rows.any():
        indices[open_rows] = _falling(scores[open_rows])[..., :k]
    return indices


def _topk_of_keys(scores: Tensor, k: int) -> Tensor:
    """Return the k best of each row of (…, C) by topk of whole numbers that are never equal: no row is sorted.

    Up to 32 bits the key is the score, as a whole number of the same order, with the lower index behind it. Beyond, no
    int64 has room for both: the k-th score is found first, and then, among its ties, the lowest indices.
    """
    num_classes = scores.shape[-1]
    backwards = torch.arange(num_classes - 1, -1, -1, device=scores.device)
    if scores.itemsize <= 4:
        return num_classes - 1 - (_ordered_bits(scores) * num_classes + backwards).topk(k).values % num_classes
    kth = scores.topk(k).values[..., -1:]
    broken, broken_kth = scores.isnan(), kth.isnan()
    key = torch.where((scores == kth) | (broken & broken_kth), backwards, -1)
    key = key.masked_fill((scores > kth) | (broken & ~broken_kth), num_classes)
    indices = key.topk(k).indices.sort(dim=-1).values
    return indices.gather(-1, _falling(scores.gather(-1, indices)))


def _topk_of_onnx(scores: Tensor, k: int) -> Tensor:
    """Return the k best of each row as ONNX has it: its TopK is specified to name the lower index of equal scores first.

    What it makes of NaN is not specified, so NaN becomes +inf and +inf the largest number, with which it then ties.
    """
    if scores.is_floating_point():
        finite = scores.clamp(max=torch.finfo(scores.dtype).max)
        scores = torch.where(scores.isnan(), torch.full_like(finite, torch.inf), finite)
    return scores.topk(k, dim=-1).indices


def _ordered_bits(scores: Tensor) -> Tensor:
    """Return int64 numbers of the order of scores of at most 32 bits; NaN is the largest, both zeros are equal."""
    if not scores.is_floating_point():
        return scores.long()
    single = scores.float()
    bits = torch.where(single == 0, 0.0, single).view(torch.int32)
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # the bits of a negative float rise as it falls
    return bits.masked_fill(single.isnan(), 0x7FFFFFFF).long()
