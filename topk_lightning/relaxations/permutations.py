"""Soft permutations that come from distances: SoftSort and NeuralSort."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.losses import reads_values, refuse_second_derivative
from topk_lightning.relaxations._errors import check_column, check_relaxation_scores
from topk_lightning.relaxations.ranked import just_below, ranked_and_rest
from topk_lightning.relaxations.rows import all_finite, result_of, small_dtype

__all__ = ["neuralsort", "softsort"]


def softsort(scores: Tensor, k: int, *, temperature: float = 1.0, column: Tensor | None = None) -> Tensor:
    r"""Return the logarithm of the first k rows of SoftSort's soft permutation.

    Row r says which class stands at rank r:

    .. math:: Π_{r c} = \mathrm{softmax}_c\big(-|s_{[r]} - s_c| / t\big).

    As t → 0 row r becomes the class of rank r (classes of equal score share it). It depends on the scores alone, not on
    the position of a class, and so does the gradient. Columns can sum to more than 1.

    All k sums share one sum over the classes beyond the k best, so a column costs O(C + k²).

    Shape:
        scores (…, C) to (…, k, C), or with column (…) to (…, k).

    Args:
        scores: scores of a float dtype, −∞ for a masked class, which has no rank.
        k: how many rows, 1 ≤ k ≤ C.
        temperature: t > 0, in units of the scores; larger is smoother.
        column: one class for each row of scores, (…); only its logarithms are returned.

    Returns:
        Logarithms of chances: (…, k, C) in float32 (float64 for float64 scores), or with `column` (…, k) in float64, since
        differences of them count. Rows sum to 1 (before the logarithm); a row beyond the last unmasked class is −∞.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, or an option or a shape is wrong.

    Examples:
        The difference of two scores at temperature 1 / log 3 makes odds of 3 to 1 for the right rank.

        >>> softsort(torch.tensor([1.0, 0.0]), 2, temperature=1 / math.log(3)).exp()
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]])

    Source:
        Prillo, Eisenschlos, ICML 2020, arXiv:2006.16038, with the distance |·|.
    """
    rows, k, temperature = check_relaxation_scores(scores, k, temperature)
    column = check_column(column, scores)
    values, rest, chosen = ranked_and_rest(rows, column, k, temperature)
    missing = _masked(values)
    places = _filled(values, missing, 0).unsqueeze(2)
    # Beyond the k best every class stands below every s_[r], so all k sums share one sum over the rest.
    distances = -(places - places.transpose(1, 2)).abs() / temperature
    distances = _filled(distances, None if missing is None else missing.unsqueeze(1), -math.inf)
    below = rest.unsqueeze(1) + (places[:, -1:] - places) / temperature
    missing = None if missing is None else missing.unsqueeze(2)
    log_sums = _filled(torch.cat([distances, below], 2), missing, 0).logsumexp(2, keepdim=True)
    if column is None:
        chosen, places, log_sums = rows, places.to(rows.dtype), log_sums.to(rows.dtype)
    chosen = chosen.unsqueeze(1)
    absent = _masked(chosen)
    log_rows = -(places - _filled(chosen, absent, 0)).abs() / temperature - log_sums
    log_rows = _filled(_filled(log_rows, missing, -math.inf), absent, -math.inf)
    return _unflatten(log_rows, scores, column)


def neuralsort(scores: Tensor, k: int, *, temperature: float = 1.0, column: Tensor | None = None) -> Tensor:
    r"""Return the logarithm of the first k rows of NeuralSort's soft permutation.

    Row r says which class stands at rank r:

    .. math:: Π_{r c} = \mathrm{softmax}_c\Big(\big((C + 1 - 2r)\, s_c - \sum_j |s_c - s_j|\big) / t\Big).

    As t → 0 row r becomes the class of rank r (classes of equal score share it). It depends on the scores alone, not on
    the position of a class, and so does the gradient. Columns can sum to more than 1. The exponents grow with C, so
    the same temperature is sharper among more classes. Masked classes do not exist: C counts the others.

    The sums of distances take one sort, O(C log C).

    Shape:
        scores (…, C) to (…, k, C), or with column (…) to (…, k).

    Args:
        scores: scores of a float dtype, −∞ for a masked class, which has no rank.
        k: how many rows, 1 ≤ k ≤ C.
        temperature: t > 0, in units of the scores times C; larger is smoother.
        column: one class for each row of scores, (…); only its logarithms are returned.

    Returns:
        Logarithms of chances: (…, k, C) in float32 (float64 for float64 scores), or with `column` (…, k) in float64, since
        differences of them count. Rows sum to 1 (before the logarithm); a row beyond the last unmasked class is −∞.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, or an option or a shape is wrong.

    Examples:
        With two classes the exponents of a row differ by |s_1 − s_2|/t.

        >>> neuralsort(torch.tensor([1.0, 0.0]), 2, temperature=1 / math.log(3)).exp()
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]])

    Source:
        Grover, Wang, Zweig, Ermon, ICLR 2019, arXiv:1903.08850.
    """
    rows, k, temperature = check_relaxation_scores(scores, k, temperature)
    column = check_column(column, scores)
    # Exponents are differences of large sums.
    rows = rows.to(small_dtype(rows))
    if column is not None:
        chosen_score = rows.detach().gather(1, column)
        tied = ((rows.detach() == chosen_score).sum(1, keepdim=True) > 1) & chosen_score.isfinite()
        if not reads_values(rows) or tied.any():
            rows = rows.scatter_add(1, column, torch.where(tied, just_below(chosen_score) - chosen_score, 0))
    masked = rows == -math.inf
    number = (~masked).sum(1).reshape(-1, 1, 1)
    # Only differences matter: against the best class nothing is lost to large scores.
    best = rows.detach().amax(1, keepdim=True)
    shifted = (rows - best.masked_fill(best == -math.inf, 0)).masked_fill(masked, 0)
    distances = _AbsoluteDistances.apply(shifted, masked)
    rank = torch.arange(1, k + 1, device=rows.device).unsqueeze(1)
    here = ~masked.unsqueeze(1) & (rank <= number)
    pull = (number + 1 - 2 * rank).to(rows.dtype) * shifted.unsqueeze(1)
    exponents = ((pull - distances.unsqueeze(1)) / temperature).masked_fill(~here, -math.inf)
    # A row without a class has no softmax: it takes that of zeros, then loses its mass.
    log_rows = exponents.masked_fill(rank > number, 0).log_softmax(2).masked_fill(~here, -math.inf)
    if column is not None:
        log_rows = log_rows.gather(2, column.unsqueeze(1).expand(-1, k, -1))
    return _unflatten(log_rows, scores, column)


def _masked(scores: Tensor) -> Tensor | None:
    """Return where scores are −∞, or None if one look shows that none is."""
    return None if all_finite(scores) else ~(scores > -math.inf)


def _filled(numbers: Tensor, where: Tensor | None, value: float) -> Tensor:
    return numbers if where is None else numbers.masked_fill(where, value)


def _unflatten(log_rows: Tensor, scores: Tensor, column: Tensor | None) -> Tensor:
    num_rows = log_rows.shape[1]
    if column is not None:
        return log_rows.reshape(*scores.shape[:-1], num_rows)
    return result_of(log_rows, scores).reshape(*scores.shape[:-1], num_rows, scores.shape[-1])


class _AbsoluteDistances(torch.autograd.Function):
    """Σ_j |s_c − s_j| over the unmasked classes, for each class, by one sort: O(C log C), no C × C.

    With b_c the number and S_c the sum of the scores below s_c it is (2·b_c − n)·s_c + Σ_j s_j − 2·S_c.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, masked: Tensor) -> Tensor:
        order = rows.masked_fill(masked, math.inf).sort(1)
        below = torch.searchsorted(order.values, rows)
        up_to = torch.searchsorted(order.values, rows, right=True)
        ctx.save_for_backward(order.indices, below, up_to, masked)
        number = (~masked).sum(1, keepdim=True)
        sums = _cumulated(order.values.masked_fill(order.values == math.inf, 0))
        distances = (2 * below - number) * rows + sums[:, -1:] - 2 * sums.gather(1, below)
        return distances.masked_fill(masked, 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        refuse_second_derivative()
        index, below, up_to, masked = ctx.saved_tensors
        grad = grad.masked_fill(masked, 0)
        number = (~masked).sum(1, keepdim=True)
        sums = _cumulated(grad.gather(1, index))
        others = sums.gather(1, below) + sums.gather(1, up_to) - sums[:, -1:]
        gradient = (below + up_to - number) * grad + others
        return gradient.masked_fill(masked, 0), None


def _cumulated(values: Tensor) -> Tensor:
    """Return the sums of the first 0, 1, … values of each row."""
    return torch.nn.functional.pad(values.cumsum(1), (1, 0))
