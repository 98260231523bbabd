"""The S-curves of soft top-k: how much a class belongs to the k best, and the threshold where the rows sum to k.

A membership is a rising curve F with F(−∞) = 0 and F(∞) = 1. The mass of class i is m_i = F((s_i − v)/t), and the
threshold v of a row makes Σ m_i = k. Its derivative is the same for all of them: ∂v/∂s_i = F′_i / Σ_j F′_j.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from topk_lightning.relaxations._rows import largest, small_dtype

__all__ = ["MEMBERSHIPS", "ClippedLine", "Laplace", "Logistic", "Membership", "clipped_line", "laplace", "logistic"]


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

    def slopes_(self, x: Tensor) -> Tensor:
        """Turn x (M, C) into F′(x) up to a factor for each row, in place.

        The largest of a row is at least 1/4 where any F′ is above 0, however far the threshold is from all classes.
        """
        raise NotImplementedError

    def solve(self, rows: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor]:
        """Return (s_[k], u), (M, 1) each, such that Σ_i F((s_i − s_[k])/t − u) = k in each row of (M, C), k < C.

        The threshold is v = s_[k] + t·u. Told as two numbers it loses nothing when all scores are large. With at most
        k unmasked classes all of them have mass 1: u = −∞.
        """
        raise NotImplementedError


def _known(top: Tensor, k: int, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the threshold (s_[k], u), or (s_[k], −∞) for the rows in which u is nonsense: without a (k+1)-th class."""
    return top[:, k - 1 : k], u.to(top.dtype).masked_fill(top[:, k : k + 1] == -math.inf, -math.inf)


class Logistic(Membership):
    """F(x) = 1/(1 + e^−x)."""

    name = "logistic"

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return x.sigmoid()

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x)."""
        return F.logsigmoid(x)

    def slopes_(self, x: Tensor) -> Tensor:
        """Turn x into F′(x) up to a factor for each row."""
        # F′ = e^−|x| / (1 + e^−|x|)², the e^−|x| of the class nearest to the threshold set to 1.
        power, scale = _nearest_is_one_(x)
        return power.div_(torch.mul(power, scale).add_(1).square_())

    def solve(self, rows: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor]:
        """Return (s_[k], u) by Newton's method on log(mass missing in the top k) = log(mass of the others).

        The slope of that difference h in u lies in [1, 2] and |h″| ≤ 1/2, so an error e becomes at most e²/4. The
        start replaces either side by equal classes with the same two first power sums, which makes the equation
        quadratic; its error is at most log(k + 1). So a fixed number of steps converges for every input.
        """
        top, index = largest(rows, k + 1)
        following = top[:, k:]
        # e^((s_i − s_[k+1])/t) of the others, in one buffer; the top k count 0 there.
        others = torch.sub(rows, following).div_(temperature).exp_().scatter_(1, index[:, :k], 0)
        small = top.to(small_dtype(rows))
        gap = (small[:, k - 1 : k] - small[:, k:]) / temperature
        best = ((small[:, k - 1 : k] - small[:, :k]) / temperature).exp()
        power_best, count_best = _power_and_count(best)
        power_others, count_others = _power_and_count(others)
        # Solved for y = e^(u + gap/2), in the form that does not cancel.
        tilt = (1 / count_best - 1 / count_others) * (-gap / 2).exp()
        root = (tilt.square() + 4 / (power_best * power_others)).sqrt()
        start = torch.where(tilt > 0, (tilt + root) * power_others / 2, 2 / (power_best * (root - tilt)))
        u = start.log() - gap / 2
        buffer = torch.empty_like(others)
        # Halving steps while the error may be too large for Newton's method, which needs it below 4.
        halvings = max(0, math.ceil(math.log2(math.log(k + 1) / 2)))
        for step in range(halvings + (6 if rows.dtype == torch.float64 else 4)):
            log_missing, slope_missing = _log_mass(best, u, torch.empty_like(best))
            log_others, slope_others = _log_mass(others, -gap - u, buffer)
            difference = log_missing - log_others
            u = u - (difference * 0.75 if step < halvings else difference / (slope_missing + slope_others))
        return _known(top, k, u)


def _nearest_is_one_(x: Tensor) -> tuple[Tensor, Tensor]:
    """Turn x into e^(n − |x|) in place, n the smallest |x| of a row, and return it with e^−n."""
    nearest = x.abs_().amin(1, keepdim=True).clamp(max=torch.finfo(x.dtype).max)
    return torch.sub(nearest, x, out=x).exp_(), nearest.neg().exp()


def _power_and_count(powers: Tensor) -> tuple[Tensor, Tensor]:
    """Return p1 = Σ x and p1²/p2, the number of equal classes that have the same Σ x and Σ x²."""
    dtype = small_dtype(powers)
    first = powers.sum(1, keepdim=True).to(dtype)
    return first, (first / torch.linalg.vector_norm(powers, dim=1, keepdim=True).to(dtype)).square()


def _log_mass(powers: Tensor, log_factor: Tensor, buffer: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Σ_i σ(log x_i + log_factor) and its slope in log_factor, for the powers x_i ≤ 1 of each row."""
    factor = log_factor.exp()
    torch.mul(powers, factor.to(powers.dtype), out=buffer).add_(1)
    torch.div(powers, buffer, out=buffer)
    total = buffer.sum(1, keepdim=True).to(factor.dtype)
    squares = torch.linalg.vector_norm(buffer, dim=1, keepdim=True).to(factor.dtype).square()
    return log_factor + total.log(), 1 - factor * squares / total


class Laplace(Membership):
    """F(x) = e^x/2 for x < 0, 1 − e^−x/2 for x ≥ 0: the distribution function of Laplace."""

    name = "laplace"

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        half = x.abs().neg().exp() / 2
        return torch.where(x < 0, half, 1 - half)

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x)."""
        # Each branch sees only its own side, so that neither puts NaN into the gradient of the other.
        return torch.where(x < 0, x - math.log(2), torch.log1p(-x.clamp(min=0).neg().exp() / 2))

    def slopes_(self, x: Tensor) -> Tensor:
        """Turn x into F′(x) up to a factor for each row."""
        return _nearest_is_one_(x)[0]

    def solve(self, rows: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor]:
        """Return (s_[k], u) in closed form.

        With j classes above the threshold, a = Σ_(i≤j) e^−d_i and b = Σ_(i>j) e^d_i, Σ m = k is the quadratic
        a·w² − 2(j − k)·w − b = 0 in w = e^u. Each class above has at least mass 1/2, so j ≤ 2k, and the rest of the
        row enters as one sum.
        """
        top, index = largest(rows, min(2 * k + 1, rows.shape[1]))
        last = top[:, -1:].clamp(min=torch.finfo(rows.dtype).min)
        rest = torch.sub(rows, last).div_(temperature).exp_().scatter_(1, index, 0).sum(1, keepdim=True)
        small = top.to(small_dtype(rows))
        d = (small - small[:, k - 1 : k]) / temperature
        # For j = 0, 1, …: the sums over the classes above and below the threshold.
        log_a = torch.cat([torch.full_like(d[:, :1], -math.inf), torch.logcumsumexp(-d, 1)], 1)
        log_b = torch.cat([rest.to(d.dtype).log() + d[:, -1:], d.flip(1)], 1).logcumsumexp(1).flip(1)
        # Class i stands above the threshold if the mass that v = s_i would give falls short of k.
        i = torch.arange(1, d.shape[1] + 1, device=d.device)
        above = ((log_b[:, 1:] - d).exp() - (log_a[:, 1:] + d).exp() < 2 * (k - i)).sum(1, keepdim=True)
        log_a, log_b = log_a.gather(1, above), log_b.gather(1, above)
        log_q = (above - k).abs().to(d.dtype).log()
        root = torch.logaddexp(torch.logaddexp(2 * log_q, log_a + log_b) / 2, log_q)
        return _known(top, k, torch.where(above > k, root - log_a, log_b - root))


class ClippedLine(Membership):
    """F(x) = x between 0 and 1: the projection onto Σ m = k. Sparse, so its logarithm can be −∞."""

    name = "clipped_line"

    def __call__(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return x.clamp(0, 1)

    def log(self, x: Tensor) -> Tensor:
        """Return log F(x)."""
        return self(x).log()

    def slopes_(self, x: Tensor) -> Tensor:
        """Turn x into F′(x) up to a factor for each row."""
        return x.copy_((x > 0) & (x < 1))

    def solve(self, rows: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor]:
        """Return (s_[k], u) in closed form: Σ m is a broken line of v, whose 2C kinks are sorted."""
        top, _ = largest(rows, k + 1)
        # u lies in [−1, 0], so scores further than 1 from s_[k] have mass 0 or 1 and enter as ±1.
        d = ((rows - top[:, k - 1 : k]).to(small_dtype(rows)) / temperature).clamp(-1, 1)
        kinks, index = torch.cat([d, d - 1], 1).sort(1, descending=True)
        slope = torch.where(index < d.shape[1], 1, -1).cumsum(1)
        mass = torch.cat([torch.zeros_like(d[:, :1]), (slope[:, :-1] * -kinks.diff(dim=1)).cumsum(1)], 1)
        # The last kink with mass below k; from there the line rises to k.
        place = (mass < k).sum(1, keepdim=True) - 1
        short = (k - mass.gather(1, place)) / slope.gather(1, place).clamp(min=1)
        return _known(top, k, kinks.gather(1, place) - short)


logistic = Logistic()
laplace = Laplace()
clipped_line = ClippedLine()
MEMBERSHIPS = {curve.name: curve for curve in (logistic, laplace, clipped_line)}
