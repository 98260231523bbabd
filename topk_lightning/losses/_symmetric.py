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
- Together: E_i / (x_1 ⋯ x_i) = Σ_m A_m[M] · R[i, m], where R[i, m] = Π_{l = m+1 … i} (S x_M / x_l) · E_(i−m)(shares)
  is what i − m members from the rest add to m leaders; summed in log space.

Rows are the last dimension here, so that each order is one contiguous block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Polynomials", "leader_gradient", "polynomials", "rest_coefficients"]


class Polynomials(NamedTuple):
    """The small tensors of N rows that the value and both parts of the gradient are made of.

    Args:
        ratios: exp(z_j − z_i) for i = 1 … k, at most 1, (k, M, N).
        terms: exp(z_j − z_i) · A_(i−1)[j − 1], (k, M, N).
        drops: Σ_{l = m+1 … i} (z_M − z_l) for i, m = 0 … k, (k+1, k+1, N).
        rest: log R[i, m], −inf for m > i, (k+1, k+1, N).
        logs: log of E_i / (x_1 ⋯ x_i) for i = 0 … k, (k+1, N).
    """

    ratios: Tensor
    terms: Tensor
    drops: Tensor
    rest: Tensor
    logs: Tensor


def polynomials(z: Tensor, power_sums: Tensor, num_others: int) -> Polynomials:
    """Return the polynomials of each row.

    Args:
        z: the leaders, sorted down, the k largest finite, (M, N).
        power_sums: Σ e_j^r of the rest for r = 1 … k, (k, N); 0 where nothing is left.
        num_others: how many classes the rest holds at most.
    """
    (num_leaders, num_rows), k = z.shape, power_sums.shape[0]
    ratios = (z - z[:k].unsqueeze(1)).clamp_(max=0).exp_()
    # Term j is added to every prefix of j leaders or more.
    prefix = z.new_ones(num_leaders + 1, num_leaders).tril(-1)
    terms = [ratios[0]]
    totals = [z.new_ones(num_rows), terms[0].sum(0)]
    for i in range(1, k):
        sums = prefix @ terms[-1]
        terms.append(ratios[i] * sums[:-1])
        totals.append(terms[-1].sum(0))

    order = torch.arange(k + 1, device=z.device)
    upto = z.new_ones(k + 1, k).tril(-1)  # [i, l]: l ≤ i
    between = (upto.unsqueeze(1) * (1 - upto)).view(-1, k)  # [i, m, l]: m < l ≤ i
    # The lower bound only keeps 0 · (−inf) out of the sum; exp is 0 long before it.
    drops = (between @ (z[-1] - z[:k]).clamp_(min=-1e9)).view(k + 1, k + 1, num_rows)
    rest = drops + _log_polynomials(power_sums, num_others)[order.unsqueeze(1) - order]
    both = rest + torch.stack(totals).log_()
    top = both.amax(1)
    logs = both.sub_(top.unsqueeze(1)).exp_().sum(1).log_().add_(top)
    return Polynomials(ratios, torch.stack(terms), drops, rest, logs)


def _log_polynomials(power_sums: Tensor, num_others: int) -> Tensor:
    """Return log E_r of the rest over x_M^r, r = 0 … k, then −inf for r = −k … −1, (2k+1, N).

    By Newton's identities r E_r = Σ_i (−1)^(i−1) p_i E_(r−i), on numbers scaled so that neither many equal classes nor
    a large k overflows: E_k of n ones is about (n e / k)^k.
    """
    k = power_sums.shape[0]
    scale = k / (math.e * max(num_others, k))
    order = torch.arange(k + 1, device=power_sums.device, dtype=power_sums.dtype).unsqueeze(1)
    signed = power_sums * ((-scale) ** order[1:]).neg_()
    found = torch.ones_like(power_sums[:1])  # E_(r−1) … E_0
    for r in range(1, k + 1):
        found = torch.cat([(signed[:r] * found).sum(0, keepdim=True).div_(r), found])
    logs = found.clamp_(min=0).log_().flip(0).sub_(order * math.log(scale))
    return torch.cat([logs, torch.full_like(power_sums, -torch.inf)])


def leader_gradient(p: Polynomials) -> Tensor:
    """Return ∂(log E_k − log E_(k−1)) / ∂z_j of the leaders, (M, N).

    A set of i that holds j as its m-th leader has i − m members behind j: its probability is the prefix that `terms`
    holds, times the sum over what stands behind over the total. The latter obeys one linear recurrence for i = k and
    i = k − 1, so their difference is taken once, at its start.
    """
    k, num_leaders, _ = p.terms.shape
    suffix = p.terms.new_ones(num_leaders, num_leaders).triu(1)
    start = (p.rest[k, 1:] - p.logs[k]).exp_()
    start[:-1] -= (p.rest[k - 1, 1:k] - p.logs[k - 1]).exp_()
    behind = start[-1:].expand(num_leaders, -1)
    gradient = p.terms[-1] * behind
    for m in range(k - 1, 0, -1):
        behind = torch.addmm(start[m - 1 : m], suffix, p.ratios[m] * behind)
        gradient.addcmul_(p.terms[m - 1], behind)
    return gradient


def rest_coefficients(p: Polynomials) -> Tensor:
    """Return c_k … c_1 (k, N): for one of the rest, ∂(log E_k − log E_(k−1)) / ∂z_j = Σ_q c_q e_j^q.

    E_(i−1) without j is Σ_q (−x_j)^(q−1) E_(i−q). Beside M larger terms each of these is less than half of the one
    before, so nothing is lost to the alternating signs.
    """
    k = p.terms.shape[0]
    coefficients = (p.drops[k, :k] + p.logs[:k] - p.logs[k]).exp_()
    coefficients[1:] -= (p.drops[k - 1, : k - 1] + p.logs[: k - 1] - p.logs[k - 1]).exp_()
    order = torch.arange(k, 0, -1, device=p.logs.device).unsqueeze(1)
    return coefficients.mul_(1 - 2 * ((order - 1) % 2))
