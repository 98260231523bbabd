"""A 64-bit fingerprint that stays the same when an image is resized, compressed or made a little brighter.

The image is reduced to 32×32, its grey values are transformed by a discrete cosine transform, and each of the 64 lowest
frequencies but the mean gives a bit: whether it lies above their median. Symmetric drawings have many coefficients of
zero, whose sign is noise; so the bit asks for a little more than the median.

Shape alone is not likeness: a red and a blue heart have the same hash. Fingerprints therefore carry a small picture in
colour, and two images are alike when few bits differ and these pictures do as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from topk_lightning.data._fixed_transform import image_to_tensor

__all__ = ["Fingerprint", "close", "fingerprint", "likeness", "perceptual_hash"]

_SIDE = 32
_FREQUENCIES = 12
# What the grey values of an image vary by at least, as a standard deviation in steps of 0 … 255, for a hash to mean
# something: compression noise on a plain surface stays below.
_BLANK = 4.0
_ABOVE_MEDIAN = 0.05
# The contrast of two small pictures differs by at most this factor, so that a black and a pale grey square are not alike.
_CONTRAST = 4 / 3
# Pairs of hashes compared at a time: 16 MiB.
_BLOCK = 2**22
# Where very many hashes are close to one, the nearest are compared further.
_NEAREST = 64


def _basis() -> Tensor:
    wave = torch.arange(_FREQUENCIES, dtype=torch.float64).unsqueeze(1)
    return torch.cos(math.pi / _SIDE * wave * (torch.arange(_SIDE, dtype=torch.float64) + 0.5))


_BASIS = _basis()
# The lowest frequencies, diagonal by diagonal, without the mean.
_LOWEST = sorted((u + v, u, v) for u in range(_FREQUENCIES) for v in range(_FREQUENCIES))[1:65]
_ROWS, _COLUMNS = (torch.tensor([frequency[axis] for frequency in _LOWEST]) for axis in (1, 2))


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of an image.

    Attributes:
        bits: 64 bits, bool; None for an image of nearly one colour, which has no shape to compare.
        small: the image at 16×16, uint8 (768,).
    """

    bits: Tensor | None
    small: Tensor


def fingerprint(image: Image.Image | Tensor) -> Fingerprint:
    """Return the fingerprint of an RGB image, or of a tensor (3, H, W) of uint8."""
    if isinstance(image, Tensor):
        image = Image.fromarray(image_to_tensor(image).permute(1, 2, 0).contiguous().numpy())
    pixels = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0))
    colours = torch.from_numpy(pixels.astype(np.float64))
    small = colours.view(_SIDE // 2, 2, _SIDE // 2, 2, 3).mean((1, 3)).round().to(torch.uint8).flatten()
    grey = colours @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    if grey.std() < _BLANK:
        return Fingerprint(None, small)
    waves = (_BASIS @ grey @ _BASIS.T)[_ROWS, _COLUMNS]
    return Fingerprint(waves > waves.median() + _ABOVE_MEDIAN * waves.std(), small)


def perceptual_hash(image: Image.Image | Tensor) -> int | None:
    """Return the 64-bit hash of an image as a whole number, or None for an image of nearly one colour.

    Args:
        image: RGB, or a tensor (3, H, W) of uint8.

    Examples:
        >>> picture = Image.radial_gradient("L")
        >>> perceptual_hash(picture) == perceptual_hash(picture.resize((100, 100)))
        True
        >>> perceptual_hash(Image.new("RGB", (8, 8), "red")) is None
        True
    """
    bits = fingerprint(image).bits
    return None if bits is None else sum(1 << frequency for frequency, bit in enumerate(bits.tolist()) if bit)


def close(bits: Tensor, others: Tensor, max_distance: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield, for each row of `others` (M, 64) that has any, the rows of `bits` (N, 64) within `max_distance` of it.

    As signs ±1 two rows have the inner product 64 − 2·distance, which a matrix product finds for all pairs, exactly, in
    a time that does not depend on how alike they are.

    Yields:
        Index into `others`, the indices into `bits`, nearest first, and their distances; 64 of them at most.
    """
    rows, columns = (2 * part.float() - 1 for part in (bits, others))
    if not len(rows):
        return
    for start in range(0, len(columns), step := max(1, _BLOCK // len(rows))):
        products = columns[start : start + step] @ rows.T
        for row in (products.amax(1) >= 64 - 2 * max_distance).nonzero().flatten().tolist():
            distance = (64 - products[row]).long() // 2
            near = (distance <= max_distance).nonzero().flatten()
            near = near[distance[near].sort(stable=True).indices[:_NEAREST]]
            yield start + row, near, distance[near]


def likeness(small: Tensor, other: Tensor) -> Tensor:
    """Return the correlation of small pictures (P, 768) with another (768,): (P,); 0 where the contrast differs.

    Being a correlation over the three channels together, it does not see a change of brightness, but one of colour.
    """
    many, single = small.float(), other.float()
    many, single = many - many.mean(1, keepdim=True), single - single.mean()
    norms, norm = many.norm(dim=1), single.norm()
    alike = many @ single / (norms * norm).clamp(min=1e-6)
    return torch.where(torch.maximum(norms, norm) <= _CONTRAST * torch.minimum(norms, norm), alike, 0)
