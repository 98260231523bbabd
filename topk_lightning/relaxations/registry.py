"""The soft permutations by name, for configuration files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from topk_lightning.relaxations.permutations import neuralsort, softsort
from topk_lightning.relaxations.sorting_networks import bitonic_network, odd_even_network

__all__ = ["RELAXATIONS", "Relaxation"]

Relaxation = Callable[..., Tensor]
"""A function ``relaxation(scores (…, C), k, *, temperature, column=None)`` that returns the logarithm of the first k rows
of a soft permutation, (…, k, C), or of the one class `column` (…) in them, (…, k)."""

RELAXATIONS: dict[str, Relaxation] = {
    "softsort": softsort,
    "neuralsort": neuralsort,
    "odd_even_network": odd_even_network,
    "bitonic_network": bitonic_network,
    "cauchy_odd_even_network": partial(odd_even_network, swap="cauchy"),
    "cauchy_bitonic_network": partial(bitonic_network, swap="cauchy"),
}
