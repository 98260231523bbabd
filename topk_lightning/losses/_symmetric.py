"""Elementary symmetric polynomials of many exponentials: their logarithms' difference, and its gradient.

With x_j = exp(z_j) of C − 1 competitors and E_i the i-th elementary symmetric polynomial of all x_j, the smooth top-k
SVM loss needs log E_k − log E_(k−1) to full precision at every scale of z, and its gradient: the difference of the
probabilities that j belongs to a set of k, and of k − 1, drawn with weight Π x_j.

The M largest competitors ("leaders") and the others ("rest") are treated apart. M ≥ 2k + 2, so that what cancels among
the rest is small beside what the leaders add.

- Leaders, sorted z_1 ≥ … ≥ z_M: A_i[m] = E_i(x_1, …, x_m) / (x_1 ⋯ x_i), so that
  A_i[m] = Σ_{j ≤ m} exp(z_j − z_i) A_(i−1)[j − 1]: every factor is at most 1, every term positive, every A_i[M] ≥ 1.
- Rest: e_j = exp(z_j − z_M) ≤ 1, S = Σ e_j, and the symmetric polynomials of the shares e_j / S from their power sums
  by Newton's identities.
- Together: E_i / (x_1 ⋯ x_i) = Σ_r A_(i−r)[M] · Π_{l = i−r+1 … i} (S x_M / x_l) · E_r(shares), summed in log space.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Polynomials", "leader_gradient", "polynomials", "rest_coefficients"]


class Polynomials(NamedTuple):
    """The small tensors of N rows that the value and both parts of the gradient are made of.

    Args:
        ratios: exp(z_j − z_i) for i = 1 … k, at most 1, (N, k, M).
        terms: exp(z_j − z_i) · A_(i−1)[j − 1], (N, k, M).
        drops: Σ_{l = i−r+1 … i} (z_M − z_l) for i, r = 0 … k, −inf where r > i, (N, k+1, k+1).
        rest: log of Π (S x_M / x_l) · E_r(shares), indexed as `drops`.
        logs: log of E_i / (x_1 ⋯ x_i) for i = 0 … k, (N, k+1).
    """

    ratios: Tensor
    terms: Tensor
    drops: Tensor
    rest: Tensor
    logs: Tensor


def polynomials(z: Tensor, power_sums: Tensor) -> Polynomials:
    """Return the polynomials of each row.

    Args:
        z: the leaders, sorted down, the k largest finite, (N, M).
        power_sums: Σ e_j^r of the rest for r = 1 … k, (N, k); 0 where nothing is left.
    """
    num_leaders, k = z.shape[1], power_sums.shape[1]
    ratios = (z.unsqueeze(1) - z[:, :k].unsqueeze(2)).clamp(max=0).exp()
    # Row j of the triangle adds term j to every prefix of j leaders or more.
    prefix = torch.ones(num_leaders, num_leaders + 1, dtype=z.dtype, device=z.device).triu(1)
    sums = torch.ones_like(prefix[:1]).expand(z.shape[0], -1)
    terms, totals = [], [sums[:, -1]]
    for i in range(k):
        terms.append(ratios[:, i] * sums[:, :-1])
        sums = terms[i] @ prefix
        totals.append(sums[:, -1])

    order = torch.arange(k + 1, device=z.device)
    i_minus_r = order.unsqueeze(1) - order
    # From r − 1 to r the product over l = i−r+1 … i gains l = i−r+1, whose index from 0 is i − r.
    steps = (z[:, -1:] - z[:, :k])[:, i_minus_r.clamp(0, k - 1)]
    steps = torch.where(order == 0, 0, steps.masked_fill(i_minus_r < 0, -torch.inf))
    drops = steps.cumsum(2)
    size = power_sums[:, :1]
    log_size = size.log()
    shares = _newton((power_sums.log() - order[1:] * torch.where(size > 0, log_size, 0)).exp())
    grown = torch.where(order == 0, 0, order * log_size)
    rest = drops + (grown + shares.log()).unsqueeze(1)
    leaders = torch.stack(totals, 1).log()[:, i_minus_r.clamp(min=0)]
    return Polynomials(ratios, torch.stack(terms, 1), drops, rest, (leaders + rest).logsumexp(2))


def _newton(power_sums: Tensor) -> Tensor:
    """Return E_0 … E_k (N, k+1) from the power sums of orders 1 … k (N, k) by Newton's identities."""
    k = power_sums.shape[1]
    signs = 1 - 2 * (torch.arange(k, device=power_sums.device) % 2)
    signed = power_sums * signs
    found = torch.ones_like(power_sums[:, :1])
    for r in range(1, k + 1):
        value = (found.flip(1) * signed[:, :r]).sum(1, keepdim=True) / r
        found = torch.cat([found, value.clamp(min=0)], 1)
    return found


def leader_gradient(p: Polynomials) -> Tensor:
    """Return ∂(log E_k − log E_(k−1)) / ∂z_j of the leaders, (N, M)."""
    k = p.terms.shape[1]
    gradient = _membership(p, k)
    return gradient if k == 1 else gradient - _membership(p, k - 1)


def _membership(p: Polynomials, i: int) -> Tensor:
    """Return the probability of each leader to belong to a set of i, (N, M).

    A set that holds j has a leaders before j and b = i − 1 − a members behind it. The prefixes are the `terms`;
    behind[j] = E_b of the leaders behind j and the rest, over x_(i−b+1) ⋯ x_i and over the total, hence at most 1.
    """
    num_leaders = p.terms.shape[2]
    suffix = torch.ones(num_leaders, num_leaders, dtype=p.terms.dtype, device=p.terms.device).tril(-1)
    start = (p.rest[:, i] - p.logs[:, i : i + 1]).exp()
    behind = start[:, :1].expand(-1, num_leaders)
    every = [behind]
    for b in range(1, i):
        behind = torch.addmm(start[:, b : b + 1], p.ratios[:, i - b] * behind, suffix)
        every.append(behind)
    return (p.terms[:, :i] * torch.stack(every[::-1], 1)).sum(1)


def rest_coefficients(p: Polynomials) -> Tensor:
    """Return c_1 … c_k (N, k): for one of the rest, ∂(log E_k − log E_(k−1)) / ∂z_j = Σ_q c_q e_j^q.

    E_(i−1) without j is Σ_q (−x_j)^(q−1) E_(i−q). Beside M larger terms each of these is less than half of the one
    before, so nothing is lost to the alternating signs.
    """
    k = p.terms.shape[1]
    order = torch.arange(1, k + 1, device=p.logs.device)

    def powers(i: int) -> Tensor:
        return (p.drops[:, i, 1:] + p.logs[:, (i - order).clamp(min=0)] - p.logs[:, i : i + 1]).exp()

    return (powers(k) - powers(k - 1)) * (2 * (order % 2) - 1)
