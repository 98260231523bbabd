"""The S-curves of soft top-k: how much a class belongs to the k best, and the threshold where the rows sum to k.

A membership is a rising curve F with F(−∞) = 0 and F(∞) = 1. The mass of class i is m_i = F((s_i − v)/t), and the
threshold v of a row makes Σ m_i = k. Its derivative is the same for all of them: ∂v/∂s_i = F′_i / Σ_j F′_j.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.losses import reads_values
from topk_lightning.relaxations._threshold import (
    Threshold,
    distances_from,
    from_the_kth,
    masses,
    norm,
    start_of,
    threshold_of,
    write_powers,
    write_shares,
    write_slopes,
)
from topk_lightning.relaxations.rows import all_finite, bounded, joined, largest, row_blocks, small_dtype

__all__ = [
    "MEMBERSHIPS",
    "ClippedLine",
    "Laplace",
    "Logistic",
    "Membership",
    "check_membership",
    "clipped_line",
    "laplace",
    "logistic",
]


class Membership:
    """Base of the S-curves. Each has one instance, known by its name; it pickles and copies as that name."""

    name: str

    def __reduce__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x) in [0, 1]."""
        raise NotImplementedError

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x), finite for every finite x."""
        raise NotImplementedError

    def log_slope(self, x: Tensor) -> Tensor:
        """Return the derivative of log F, in [0, 1]."""
        raise NotImplementedError

    def solve(self, rows: Tensor, k: int, temperature: float, powers: Tensor) -> Threshold:
        """Find u such that Σ_i F((s_i − s_[k])/t − u) = k in each row of (M, C), k < C; `powers` is filled."""
        raise NotImplementedError

    def shares(self, threshold: Threshold, scale: Tensor, out: Tensor) -> None:
        """Write scale · F′_i / Σ_j F′_j of each class into `out` (M, C), however far the threshold is from all classes.

        Where a threshold is free, the shares are those in the limit of one more class that is moved to −∞. `out` may be the
        powers of the threshold.
        """
        raise NotImplementedError


class Logistic(Membership):
    """F(x) = 1/(1 + e^−x)."""

    name = "logistic"

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return x.sigmoid()

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x)."""
        return F.logsigmoid(x)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return the derivative of log F."""
        return x.neg().sigmoid_()

    def solve(self, rows: Tensor, k: int, temperature: float, powers: Tensor) -> Threshold:
        """Find u by Newton's method on log(mass missing in the top k) = log(mass of the others).

        The slope of that difference h in u lies in [1, 2] and |h″| ≤ 1/2, so an error e becomes at most e²/4. The
        start replaces either side by equal classes with the same two first power sums, which makes the equation
        quadratic; its error is at most log(k + 1). So a fixed number of steps converges for every input, and a step of
        δ leaves at most δ²/4: where values may be read, no step follows one that is small enough.
        """
        top, index = largest(rows, k + 1)
        places, finite = index[:, :k], all_finite(top)
        leaders = from_the_kth(top, k, temperature, finite)
        write_powers(rows, places, bounded(top[:, k:], finite), temperature, powers)
        d, lowest = leaders.split_with_sizes([k, 1], 1)
        u = start_of(d.neg().exp_(), powers, lowest)
        # Beyond such a gap the start is exact, and masses might underflow; broken rows have no solution.
        done = lowest < -100 if finite else (lowest < -100) | u.isnan()
        # Halving steps while the error may be too large for Newton's method, which needs it below 4.
        halvings = max(0, math.ceil(math.log2(math.log(k + 1) / 2)))
        steps, enough = (6, 1e-7) if rows.dtype == torch.float64 else (4, 2e-3)
        for step in range(halvings + steps):
            missing = (u - d).sigmoid_()
            log_factor = lowest - u
            factor, total_missing = log_factor.exp().to(powers.dtype), missing.sum(1, keepdim=True)
            total, length = masses(powers, factor)
            move = (total_missing / total).log_().sub_(log_factor)
            if step < halvings:
                move.mul_(0.75)
            else:
                slope = 2 - norm(missing).square_().div_(total_missing)
                move.div_(slope.sub_(length.square_().mul_(factor).div_(total)))
            u.sub_(move.masked_fill_(done, 0))
            if reads_values(rows) and step >= halvings and torch.linalg.vector_norm(move, torch.inf).item() <= enough:
                break
        return threshold_of(top, leaders, k, u, powers, places, finite)

    def shares(self, threshold: Threshold, scale: Tensor, out: Tensor) -> None:
        """Write scale · F′_i / Σ_j F′_j into `out`."""
        # F′ = e^−|x| / (1 + e^−|x|)², and e^x / (1 + e^x)² for either sign of x.
        distances, reference, nearest = distances_from(threshold)
        leaders = (nearest - distances).exp_().mul_(distances.sigmoid().square_())
        total = write_slopes(threshold.powers, reference.exp().to(out.dtype), out)
        write_shares(out, total, leaders, (reference + nearest).exp_(), threshold.places, scale)


class Laplace(Membership):
    """F(x) = e^x/2 for x < 0, 1 − e^−x/2 for x ≥ 0: the distribution function of Laplace."""

    name = "laplace"

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        # Each branch sees only its own side and the point between them, where |x| and clamp may have the slope 0.
        below = x < 0
        return torch.where(below, x.masked_fill(~below, 0).exp() / 2, 1 - x.masked_fill(below, 0).neg().exp() / 2)

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x)."""
        # Of the two terms the first is 0 above and the second log(1/2) below.
        return x.clamp(max=0) + torch.log1p(x.relu().neg().exp() / -2)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return the derivative of log F."""
        e = x.relu().neg_().exp_()
        return e / (2 - e)

    def solve(self, rows: Tensor, k: int, temperature: float, powers: Tensor) -> Threshold:
        """Find u in closed form.

        With j classes above the threshold, a = Σ_(i≤j) e^−d_i and b = Σ_(i>j) e^d_i, Σ m = k is the quadratic
        a·w² − 2(j − k)·w − b = 0 in w = e^u. Each class above has at least mass 1/2, so j ≤ 2k, and the rest of the
        row enters as one sum.
        """
        top, places = largest(rows, min(2 * k + 1, rows.shape[1]))
        finite = all_finite(top)
        d, last = from_the_kth(top, k, temperature, finite), top[:, -1:]
        write_powers(rows, places, bounded(last, finite), temperature, powers)
        rest = powers.sum(1, keepdim=True).to(d.dtype).log_().add_(d[:, -1:])
        # For j = 0, 1, …: the sums over the classes above and below the threshold.
        log_a = torch.cat([torch.full_like(d[:, :1], -math.inf), torch.logcumsumexp(-d, 1)], 1)
        log_b = torch.cat([rest, d.flip(1)], 1).logcumsumexp(1).flip(1)
        # Class i stands above the threshold if the mass that v = s_i would give falls short of k.
        i = torch.arange(1, d.shape[1] + 1, device=d.device)
        above = ((log_b[:, 1:] - d).exp_() - (log_a[:, 1:] + d).exp_() < 2 * (k - i)).sum(1, keepdim=True)
        log_a, log_b = log_a.gather(1, above), log_b.gather(1, above)
        log_q = (above - k).abs().to(d.dtype).log()
        root = torch.logaddexp(torch.logaddexp(2 * log_q, log_a + log_b) / 2, log_q)
        u = torch.where(above > k, root - log_a, log_b - root)
        return threshold_of(top, d, k, u, powers, places, finite)

    def shares(self, threshold: Threshold, scale: Tensor, out: Tensor) -> None:
        """Write scale · F′_i / Σ_j F′_j into `out`."""
        # F′ = e^−|x|, and all but the leaders stand below the threshold.
        distances, reference, nearest = distances_from(threshold)
        if out is not threshold.powers:
            out.copy_(threshold.powers)
        leaders, total = (nearest - distances).exp_(), out.sum(1, keepdim=True)
        write_shares(out, total, leaders, (reference + nearest).exp_(), threshold.places, scale)


class ClippedLine(Membership):
    """F(x) = x between 0 and 1: the projection onto Σ m = k. Sparse, so its logarithm can be −∞."""

    name = "clipped_line"

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x), with slope 0 at both kinks as in `shares`."""
        return torch.where((x > 0) & (x < 1), x, x.detach().clamp(0, 1))

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x)."""
        return self(x).log()

    def solve(self, rows: Tensor, k: int, temperature: float, powers: Tensor) -> Threshold:
        """Find u in closed form: Σ m is a broken line of v, whose 2C kinks are sorted."""
        top, index = largest(rows, k + 1)
        finite, solutions = all_finite(top), []
        for scores, kth, x in row_blocks(rows, top[:, k - 1 : k], powers):
            # u lies in [−1, 0], so scores further than 1 from s_[k] have mass 0 or 1 and enter as ±1.
            d = torch.sub(scores, kth, out=x).div_(temperature).clamp_(-1, 1).to(small_dtype(rows))
            kinks, order = torch.cat([d, d - 1], 1).sort(1, descending=True)
            slope = torch.where(order < d.shape[1], 1, -1).cumsum(1)
            mass = torch.cat([torch.zeros_like(d[:, :1]), (slope[:, :-1] * -kinks.diff(dim=1)).cumsum(1)], 1)
            # The last kink with mass below k; from there the line rises to k.
            piece = (mass < k).sum(1, keepdim=True) - 1
            short = (k - mass.gather(1, piece)) / slope.gather(1, piece).clamp(min=1)
            solutions.append(kinks.gather(1, piece) - short)
        leaders = from_the_kth(top, k, temperature, finite)
        return threshold_of(top, leaders, k, joined(solutions), powers, index[:, :0], finite)

    def shares(self, threshold: Threshold, scale: Tensor, out: Tensor) -> None:
        """Write scale · F′_i / Σ_j F′_j into `out`."""
        x = threshold.powers - threshold.u
        out.copy_((x > 0) & (x < 1))
        # No class is on the slope where the k best lead by more than t: the threshold may be anywhere between.
        out.mul_((scale / out.sum(1, keepdim=True).clamp(min=1)).to(out.dtype))


def check_membership(membership: Membership | str, known: Mapping[str, Membership]) -> Membership:
    """Return the membership that is given or named, one of `known`."""
    if isinstance(membership, str):
        if membership in known:
            return known[membership]
    elif any(membership is curve for curve in known.values()):
        return membership
    raise InvalidValueError(must("membership", "be one of " + ", ".join(known), repr(membership)))


logistic = Logistic()
laplace = Laplace()
clipped_line = ClippedLine()
#: The curves of :func:`soft_topk_mask` by the names that it takes.
MEMBERSHIPS = {curve.name: curve for curve in (logistic, laplace, clipped_line)}
