"""Student's t: the probability of a value at least as far from 0, and the value that is exceeded with a probability."""

from __future__ import annotations

import math

__all__ = ["two_sided_p", "two_sided_t"]

#: Steps of the continued fraction; it ends far earlier.
_STEPS = 10_000


def two_sided_p(t: float, degrees: float) -> float:
    """Return P(abs(T) ≥ abs(t)), where T has Student's distribution with so many degrees of freedom, whole or not.

    Examples:
        >>> round(two_sided_p(2.0, 1), 6), round(1 - 2 / math.pi * math.atan(2), 6)
        (0.295167, 0.295167)
    """
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def two_sided_t(p: float, degrees: float) -> float:
    """Return the t that is reached in absolute value with probability p.

    Examples:
        >>> round(two_sided_t(0.05, 2), 3), round(two_sided_t(0.05, 1e6), 3)
        (4.303, 1.96)
    """
    low, high = 0.0, 1.0
    while two_sided_p(high, degrees) > p:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, degrees) > p else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - _incomplete_beta(b, a, 1 - x)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        for part in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + part * d)
            c = _not_zero(1 + part / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(log) * value / a


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
