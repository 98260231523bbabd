"""Checks of schedules: the window of a ramp, the values and beginnings of steps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_fraction, check_number

__all__ = ["check_starts", "check_values", "check_window"]


def check_window(hold_fraction: object, finish_fraction: object) -> None:
    """Raise unless 0 ≤ hold_fraction < finish_fraction ≤ 1."""
    hold = check_fraction("hold_fraction", hold_fraction)
    finish = check_fraction("finish_fraction", finish_fraction)
    if hold >= finish:
        raise InvalidValueError(must("finish_fraction", f"be above hold_fraction ({hold})", finish))


def check_values(values: object, name: str = "values") -> tuple[Any, ...]:
    """Return one or more finite numbers as a tuple."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidTypeError(must(name, "be a sequence of numbers", type(values).__name__))
    found = tuple(values)
    if not found:
        raise InvalidValueError(must(name, "hold at least one number", "none"))
    for value in found:
        check_number(name, value, "hold finite numbers")
    return found


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
