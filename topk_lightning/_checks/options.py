"""Checks of plain options: k, temperatures, fractions, choices, steps."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = [
    "check_choice",
    "check_fraction",
    "check_integer",
    "check_k",
    "check_ks",
    "check_level",
    "check_number",
    "check_positive",
    "check_starts",
    "check_values",
]


def check_integer(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`; a bool or a float is a TypeError."""
    if type(value) is int and value >= minimum:
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidTypeError(must(name, "be an integer", f"{value!r} of type {type(value).__name__}"))
    if value < minimum:
        raise InvalidValueError(must(name, f"be at least {minimum}", value))
    return int(value)


def check_k(k: object, num_classes: int | None = None, name: str = "k") -> int:
    """Return `k` as an int with 1 ≤ k ≤ C."""
    value = check_integer(name, k)
    if num_classes is not None and value > num_classes:
        raise InvalidValueError(
            must(name, f"be at most the number of classes ({num_classes})", value, f"Use a smaller {name}.")
        )
    return value


def check_ks(k: int | Iterable[int], num_classes: int | None = None, name: str = "k") -> tuple[int, ...]:
    """Return one k or several different ones as a non-empty tuple, in the order given."""
    values = tuple(check_k(each, num_classes, name) for each in (k if isinstance(k, Iterable) else (k,)))
    if not values:
        raise InvalidValueError(must(name, "hold at least one k", "none"))
    if len(set(values)) < len(values):
        raise InvalidValueError(must(name, "hold each k once", values))
    return values


def check_number(name: str, value: object, requirement: str = "be a finite number") -> float:
    """Return `value` as a finite float."""
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidTypeError(must(name, "be a number", f"{value!r} of type {type(value).__name__}"))
    if not math.isfinite(value):
        raise InvalidValueError(must(name, requirement, value))
    return float(value)


def check_positive(name: str, value: object) -> float:
    """Return `value` as a finite float above 0."""
    number = check_number(name, value, "be a finite number above 0")
    if number <= 0:
        raise InvalidValueError(must(name, "be a finite number above 0", value))
    return number


def check_fraction(name: str, value: object) -> float:
    """Return `value` as a float in [0, 1]."""
    number = check_number(name, value, "be a fraction in [0, 1]")
    if not 0 <= number <= 1:
        raise InvalidValueError(must(name, "be a fraction in [0, 1]", value))
    return number


def check_level(level: object) -> float:
    """Return the level of a confidence interval, in (0, 1)."""
    number = check_number("level", level)
    if not 0 < number < 1:
        raise InvalidValueError(must("level", "lie between 0 and 1", level, "Did you mean 0.95?"))
    return number


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`."""
    known = list(choices)
    if value not in known:
        raise InvalidValueError(must(name, "be one of " + ", ".join(map(repr, known)), repr(value)))
    return str(value)


def check_values(values: object, name: str = "values") -> tuple[Any, ...]:
    """Return one or more finite numbers as a tuple."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidTypeError(must(name, "be a sequence of numbers", type(values).__name__))
    numbers_given = tuple(values)
    if not numbers_given:
        raise InvalidValueError(must(name, "hold at least one number", "none"))
    for value in numbers_given:
        check_number(name, value, "hold finite numbers")
    return numbers_given


def check_starts(at: object, count: int, name: str = "at", of: str = "values") -> tuple[float, ...]:
    """Return the progress at which each of `count` values begins: 0 first, ascending, at most 1."""
    starts = check_values(at, name)
    if len(starts) != count:
        raise InvalidValueError(must(name, f"hold {count} numbers, one for each of {of}", len(starts)))
    for start in starts:
        check_fraction(name, start)
    if starts[0] != 0:
        raise InvalidValueError(must(name, "begin with 0, where training begins", starts[0]))
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise InvalidValueError(must(name, "ascend", starts))
    return starts
