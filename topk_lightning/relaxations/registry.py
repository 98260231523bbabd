"""The soft permutations by name, for configuration files."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from topk_lightning.relaxations.permutations import neuralsort, softsort

__all__ = ["RELAXATIONS", "Relaxation"]

#: A soft permutation of scores, of which losses take the first k rows.
Relaxation = Callable[..., Tensor]
"""A function ``relaxation(scores (…, C), k, *, temperature, column=None)`` that returns the logarithm of the first k rows
of a soft permutation, (…, k, C), or of the one class `column` (…) in them, (…, k)."""

#: The soft permutations by the names that losses take.
RELAXATIONS: dict[str, Relaxation] = {
    "softsort": softsort,
    "neuralsort": neuralsort,
}
