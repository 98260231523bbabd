"""Elementary symmetric polynomials of many exponentials: the logarithm of a quotient of two, and its gradient.

With x_j = exp(z_j) of C − 1 competitors and E_i the i-th elementary symmetric polynomial of all x_j, the smooth top-k
SVM loss needs log(E_k / E_(k−1)) to full precision at every scale of z, and its gradient: the difference of the
probabilities that j belongs to a set of k, and of k − 1, drawn with weight Π x_j.

The M largest competitors ("leaders") and the others ("rest") are treated apart.

- Rest: e_j = exp(z_j − z_M) ≤ 1, and their symmetric polynomials from their power sums Σ e_j^r: Newton's identities, on
  numbers scaled by u ≤ 1 so that many equal classes do not overflow; for a small k written out as sums over partitions,
  where in float64 u = 1 will do. What cancels there is small beside what the leaders add.
- Leaders: one after the other joins the table F_i = E_i(leaders so far) / exp(n_1 + … + n_i), i = 0 … k: F_i grows by
  exp(z_j − n_i) F_(i−1). The i-th largest member of a set is at most the i-th leader or one of the rest, so its place is
  measured in units of its level n_i = max(z_i, z_M − log u). Every factor that counts is at most 1, every term positive.
- Both: i members are leaders, the others of the rest: E_k / exp(n_1 + … + n_k) = Σ_i F_i · fall_i · E_(k−i)(rest), at
  least about e^(−k).

The gradient is the same recurrence run backwards. The orders k and k − 1 share the table and stand side by side. Rows are
the last dimension, so that each step is one large operation on contiguous blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from topk_lightning.relaxations.rows import kept

__all__ = ["Polynomials", "gradient", "polynomials"]

# Up to this k the identities are written out: one product with a matrix of up to 67 columns instead of 3 k operations.
_WRITTEN_OUT = 8


class Polynomials(NamedTuple):
    """The small tensors of N rows that the gradient is made of; "2" are the orders k and k − 1.

    Args:
        total: E_k / exp(n_1 + … + n_k) and E_(k−1) / exp(n_1 + … + n_(k−1)), (2, N).
        fall: exp(z_M − log u − n_l), multiplied over the members l > i that are of the rest, i = 0 … k, (2, k + 1, N).
        seeds: `fall` times the polynomials of the rest, (2, k + 1, N).
        of_rest: E_k … E_0 of the rest in units of (x_M / u)^r, then k + 1 zeros, (2k + 2, N).
        powers: u^r for r = 1 … k, (k, N); None if u = 1.
        ratios: exp(z_j − n_i), at most 1, (M, k, N).
        members: F_0 … F_(k−1) of the first j leaders, j = 0 … M − 1, (M, k, N).
        of_leaders: F_0 … F_k of all leaders, (k + 1, N).
        constants: of k.
    """

    total: Tensor
    fall: Tensor
    seeds: Tensor
    of_rest: Tensor
    powers: Tensor | None
    ratios: Tensor
    members: Tensor
    of_leaders: Tensor
    constants: _Constants


def polynomials(z: Tensor, power_sums: Tensor) -> tuple[Tensor, Polynomials]:
    """Return log(E_k / E_(k−1)) of each row, (N,), and what its gradient is made of.

    Args:
        z: the leaders, sorted down, (M, N), M ≥ k; the k largest finite.
        power_sums: Σ e_j^r of the rest for r = 1 … k, (k, N); 0 where nothing is left.
    """
    (num_leaders, num_rows), k = z.shape, power_sums.shape[0]
    constants = _constants(k, z.dtype, z.device)
    sums_of_products = _written_out if k <= _WRITTEN_OUT else _newton
    if k <= _WRITTEN_OUT and z.dtype == torch.float64:  # C^k is far below its largest number
        powers, rest_level = None, z[-1]
    else:
        scale = power_sums[0].clamp(min=k / math.e).mul_(math.e / k)  # 1 / u
        powers, rest_level = scale.reciprocal().expand(k, -1).cumprod(0), scale.log().add_(z[-1])
        power_sums = power_sums * powers
    of_rest = sums_of_products(power_sums, constants)
    # The lower bound only keeps 0 · (−inf) out of sums; exp is 0 long before it.
    rest_level = rest_level.clamp(min=-1e15)
    levels = torch.maximum(z[:k], rest_level)
    fall = (constants.after @ (rest_level - levels)).exp_().view(2, k + 1, num_rows)
    seeds = fall * of_rest.as_strided(fall.shape, (num_rows, num_rows, 1))

    ratios = (z.unsqueeze(1) - levels).clamp_(max=0).exp_()
    tables = _copies(constants.empty, (num_leaders + 1, k + 1, num_rows))
    members = tables.narrow(1, 0, k)
    fewer, with_one_more = members.unbind(), tables.narrow(1, 1, k).unbind()
    for j, ratio in enumerate(ratios.unbind()):
        torch.addcmul(with_one_more[j], ratio, fewer[j], out=with_one_more[j + 1])
    of_leaders = tables[-1]
    total = (seeds * of_leaders).sum(1).clamp_(min=torch.finfo(z.dtype).tiny)  # 0 only in rows that are not used
    p = Polynomials(total, fall, seeds, of_rest, powers, ratios, members[:-1], of_leaders, constants)
    return (total[0] / total[1]).log_().add_(levels[-1]), p


class _Constants(NamedTuple):
    """What depends on k alone.

    Args:
        empty: F_0 … F_k of no leader, (k + 1, 1).
        after: the members l > i of either order, (2k + 2, k).
        signs: of the logarithms of the two orders, (2, 1).
        alternating: (−1)^(r−1) for r = 1 … k, (k, 1).
        counts: how often each power sum stands in each partition of 0 … k, (partitions, k).
        shares: what each partition adds to E_k … E_0 and to k + 1 zeros, (2k + 2, partitions).
    """

    empty: Tensor
    after: Tensor
    signs: Tensor
    alternating: Tensor
    counts: Tensor
    shares: Tensor


@kept
def _constants(k: int, dtype: torch.dtype, device: torch.device) -> _Constants:
    place = torch.arange(k, device=device)
    after = (place >= torch.arange(k + 1, device=device).unsqueeze(1)).repeat(2, 1, 1).to(dtype)
    after[1, :, -1] = 0  # the order k − 1 has no k-th member
    signs = torch.tensor([[1.0], [-1.0]], dtype=dtype, device=device)
    alternating = torch.tensor([[(-1.0) ** r] for r in range(k)], dtype=dtype, device=device)
    counts, shares = _identities(k, dtype, device).split([k, 2 * k + 2], dim=1)
    empty = torch.zeros(k + 1, 1, dtype=dtype, device=device)
    empty[0] = 1
    return _Constants(empty, after.view(-1, k), signs, alternating, counts, shares.T)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _identities(k: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `counts` and the transposed `shares` of :class:`_Constants` side by side, (partitions, 3k + 2).

    E_r = Σ over the partitions of r of Π_i (−1)^((i−1) m_i) p_i^m_i / (i^m_i m_i!), with m_i how often i stands in it.
    A k whose partitions are too many has none.
    """
    rows = []
    for r in range(k + 1 if k <= _WRITTEN_OUT else 0):
        for partition in _partitions(r, r):
            times = [partition.count(i) for i in range(1, k + 1)]
            share = math.prod((-1) ** ((i - 1) * m) / (i**m * math.factorial(m)) for i, m in enumerate(times, 1))
            rows.append([*map(float, times), *(share if row == k - r else 0.0 for row in range(2 * k + 2))])
    return torch.tensor(rows, dtype=dtype, device=device).view(-1, 3 * k + 2)


def _partitions(number: int, largest: int) -> Iterator[tuple[int, ...]]:
    if number == 0:
        yield ()
    for first in range(min(number, largest), 0, -1):
        for others in _partitions(number - first, first):
            yield (first, *others)


def _copies(table: Tensor, shape: tuple[int, int, int]) -> Tensor:
    return table.expand(shape).clone(memory_format=torch.contiguous_format)


def _written_out(sums: Tensor, constants: _Constants) -> Tensor:
    """Return E_k … E_0, then k + 1 zeros, (2k + 2, N), from the power sums p_r, r = 1 … k, as sums over partitions."""
    logs = sums.clamp(min=torch.finfo(sums.dtype).tiny).log_()
    return (constants.shares @ (constants.counts @ logs).exp_()).clamp_(min=0)


def _newton(sums: Tensor, constants: _Constants) -> Tensor:
    """Return the same by Newton's identities: r E_r = Σ_i (−1)^(i−1) p_i E_(r−i)."""
    k, signed = len(sums), sums * constants.alternating
    of_rest = torch.cat([sums[:1], torch.ones_like(sums[:1]), sums.new_zeros(k + 1, sums.shape[1])])
    for r in range(2, k + 1):
        of_rest = torch.cat([(signed[:r] * of_rest[:r]).sum(0, keepdim=True).div_(r), of_rest])
    return of_rest.clamp_(min=0)


def gradient(p: Polynomials, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return share · ∂ log(E_k / E_(k−1)) / ∂z_j of the leaders, (M, N), and its coefficients for the rest, (k, N).

    For one of the rest the derivative is Σ_q c_q e_j^q, q = 1 … k: E_(i−1) without j is Σ_q (−x_j)^(q−1) E_(i−q). The
    terms alternate, but beside M ≥ 2k − 2 larger numbers they fall from the start, so little is lost.

    The recurrence of `polynomials` run backwards: `counts[j]` is how much each F_i of the first j + 1 leaders counts.
    """
    num_leaders, k, num_rows = p.ratios.shape
    ahead = (p.constants.signs * share).div_(p.total).unsqueeze(1)
    counts = _copies((p.seeds * ahead).sum(0), (num_leaders, k + 1, num_rows))
    fewer, ratios, with_one_more = counts.narrow(1, 0, k).unbind(), p.ratios.unbind(), counts.narrow(1, 1, k)
    for j, one_more in reversed(list(enumerate(with_one_more.unbind()))[1:]):
        torch.addcmul(fewer[j], ratios[j], one_more, out=fewer[j - 1])
    leaders = (p.ratios * p.members).mul_(with_one_more).sum(1)

    # Of either order and i: E of so many members of the rest less q.
    fewer_of_rest = p.of_rest.as_strided((k, 2, k + 1, num_rows), (num_rows, num_rows, num_rows, 1), num_rows)
    weight = (p.fall * ahead).mul_(p.of_leaders)
    # In this order: the strides of the product are those of the first.
    coefficients = (weight * fewer_of_rest).sum((1, 2)).mul_(p.constants.alternating)
    return leaders, coefficients if p.powers is None else coefficients.mul_(p.powers)
