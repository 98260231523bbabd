"""Some rows of stored scores, as they are read one after the other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.scores import are_probabilities

__all__ = ["ScoreBlock", "check_probabilities"]


class ScoreBlock(NamedTuple):
    """Some rows of :class:`Scores`.

    Attributes:
        start: number of the first row.
        values: scores (n, C) in the dtype they are stored in; whatever depends on order alone reads these.
        target: class of each row (n,), or a distribution over classes (n, C); None where none is known.
        sample_weight: weight of each row (n,); None where all count alike.
        kind: "logits" or "probabilities", of the values.
    """

    start: int
    values: Tensor
    target: Tensor | None
    sample_weight: Tensor | None
    kind: str

    @property
    def logits(self) -> Tensor:
        """Logits (n, C): the values, or the logarithms of probabilities in float64, which keep the order of float32.

        Raises:
            ValueError: values that are said to be probabilities and are not.
        """
        if self.kind == "logits":
            return self.values
        check_probabilities(self.values, self.start)
        return self.values.double().log()

    def log_probabilities(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the logarithms of the probabilities (n, C), whose sum is 1 whatever they were rounded to.

        A row with a NaN or +inf, or without a finite logit, is NaN in part or whole.

        Raises:
            ValueError: values of the other kind than is said.
        """
        self.check_units()
        return self.logits.log_softmax(1, dtype=dtype)

    def check_units(self) -> None:
        """Raise where the first rows are said to be logits and are what a softmax returns."""
        if self.kind == "logits" and self.start == 0 and are_probabilities(self.values):
            wanted, remedy = "be logits where that is said", 'Say kind="probabilities".'
            raise InvalidValueError(must("scores", wanted, "rows of probabilities", remedy))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)


def check_probabilities(values: Tensor, start: int = 0) -> None:
    """Raise unless each row without a NaN is ≥ 0 and sums to 1, up to the rounding of C numbers of this dtype."""
    sums = values.sum(1, dtype=torch.float32)
    tolerance = max(1e-3, 8 * torch.finfo(values.dtype).eps)
    wrong = ((sums - 1).abs() > tolerance) | (values.amin(1) < 0)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        wanted = "hold probabilities, rows ≥ 0 that sum to 1"
        actual = f"a row {start + row} with minimum {float(values[row].min()):g} and sum {float(sums[row]):g}"
        raise InvalidValueError(must("scores", wanted, actual, 'Did you mean kind="logits"?'))
