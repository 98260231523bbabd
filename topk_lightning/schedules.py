r"""Schedules: pure functions of the progress of training, from [0, 1] to a value.

With h the hold fraction, f the finish fraction and u = clip((progress − h)/(f − h), 0, 1):

- Linear: start + u · (end − start)
- Cosine: start + (1 − cos πu)/2 · (end − start)
- Exponential: start · (end/start)^u, for start, end > 0
- Steps: the last value whose progress has come
- Constant: one value

A ramp is exactly `start` up to h, exactly `end` from f on, never leaves [start, end] and may rise or fall. All are frozen
dataclasses of plain numbers: they pickle, compare, and can be written in a yaml file.
"""

from __future__ import annotations

import bisect
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import (
    check_choice,
    check_fraction,
    check_number,
    check_positive,
    check_starts,
    check_values,
)

__all__ = ["RAMPS", "Constant", "Cosine", "Exponential", "Linear", "Ramp", "Schedule", "Steps", "named_ramp"]


class Schedule(ABC):
    """What all schedules are: called with the progress of training in [0, 1], they return a value."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Return the value at a progress in [0, 1]."""


@dataclass(frozen=True)
class Constant(Schedule):
    """Return one value for the whole training.

    Args:
        value: a finite number.

    Examples:
        >>> Constant(2.0)(0.7)
        2.0
    """

    value: float

    def __post_init__(self) -> None:
        check_number("value", self.value)

    def __call__(self, progress: float) -> float:
        """Return the value."""
        check_fraction("progress", progress)
        return self.value


@dataclass(frozen=True)
class Ramp(Schedule):
    """What the schedules from `start` to `end` share: the window of training in which the value moves."""

    start: float
    end: float
    hold_fraction: float = 0.0
    finish_fraction: float = 1.0

    def __post_init__(self) -> None:
        check_number("start", self.start)
        check_number("end", self.end)
        _check_window(self.hold_fraction, self.finish_fraction)

    def __call__(self, progress: float) -> float:
        """Return the value at a progress in [0, 1]."""
        check_fraction("progress", progress)
        share = (progress - self.hold_fraction) / (self.finish_fraction - self.hold_fraction)
        if share <= 0:
            return self.start
        if progress >= self.finish_fraction:
            return self.end
        low, high = sorted((self.start, self.end))
        # Rounding may lead a hair beyond an end, which would be a temperature of 0 for an end close to it.
        return min(max(self._between(share), low), high)

    @abstractmethod
    def _between(self, share: float) -> float:
        """Return the value after this share of the way, in (0, 1)."""


@dataclass(frozen=True)
class Linear(Ramp):
    """Move in equal steps: start + u · (end − start).

    Args:
        start: value up to `hold_fraction`.
        end: value from `finish_fraction` on; above or below `start`.
        hold_fraction: progress in [0, 1] up to which `start` is held.
        finish_fraction: progress in (hold_fraction, 1] from which `end` is held.

    Raises:
        ValueError: a number that is not finite, or an empty window.

    Examples:
        >>> Linear(4.0, 1.0)(0.5) == (4 + 1) / 2
        True
    """

    def _between(self, share: float) -> float:
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Cosine(Ramp):
    """Move along half a cosine, slowly at both ends: start + (1 − cos πu)/2 · (end − start).

    Args:
        start: value up to `hold_fraction`.
        end: value from `finish_fraction` on; above or below `start`.
        hold_fraction: progress in [0, 1] up to which `start` is held.
        finish_fraction: progress in (hold_fraction, 1] from which `end` is held.

    Raises:
        ValueError: a number that is not finite, or an empty window.

    Examples:
        >>> round(Cosine(4.0, 1.0)(1 / 3), 12) == 4 - 3 / 4
        True
    """

    def _between(self, share: float) -> float:
        return self.start + (1 - math.cos(math.pi * share)) / 2 * (self.end - self.start)


@dataclass(frozen=True)
class Exponential(Ramp):
    """Change by the same factor in each step: start · (end/start)^u.

    Args:
        start: value > 0 up to `hold_fraction`.
        end: value > 0 from `finish_fraction` on; above or below `start`.
        hold_fraction: progress in [0, 1] up to which `start` is held.
        finish_fraction: progress in (hold_fraction, 1] from which `end` is held.

    Raises:
        ValueError: a number that is not finite and above 0, or an empty window.

    Examples:
        >>> round(Exponential(4.0, 1.0)(0.5), 12) == (4 * 1) ** 0.5
        True
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("start", self.start)
        check_positive("end", self.end)

    def _between(self, share: float) -> float:
        # Logarithms, since the quotient of two extreme values would overflow.
        return math.exp((1 - share) * math.log(self.start) + share * math.log(self.end))


@dataclass(frozen=True)
class Steps(Schedule):
    """Jump from value to value: the last one whose progress has come.

    Args:
        values: one or more finite numbers.
        at: the progress in [0, 1] at which each of them begins: as many as values, 0 first, ascending.

    Raises:
        ValueError: lengths that differ, a first progress other than 0, no ascending order.

    Examples:
        >>> ladder = Steps(values=(5, 3, 1), at=(0, 0.5, 0.8))
        >>> [ladder(progress) for progress in (0, 0.49, 0.5, 0.8, 1)]
        [5, 5, 3, 1, 1]
    """

    values: Sequence[float]
    at: Sequence[float]

    def __post_init__(self) -> None:
        # Tuples, also for the lists of a yaml file, so that equal schedules hash alike.
        object.__setattr__(self, "values", check_values(self.values))
        object.__setattr__(self, "at", check_starts(self.at, len(self.values)))

    def __call__(self, progress: float) -> float:
        """Return the value at a progress in [0, 1]."""
        return self.values[bisect.bisect_right(self.at, check_fraction("progress", progress)) - 1]


#: The ramps by the names that callbacks take.
RAMPS: dict[str, type[Ramp]] = {"exponential": Exponential, "linear": Linear, "cosine": Cosine}


def named_ramp(
    name: str, start: float, end: float, *, hold_fraction: float = 0.0, finish_fraction: float = 1.0
) -> Ramp:
    """Return the ramp of a name: "exponential", "linear" or "cosine".

    Examples:
        >>> named_ramp("linear", 4.0, 1.0, hold_fraction=0.5)
        Linear(start=4.0, end=1.0, hold_fraction=0.5, finish_fraction=1.0)
    """
    return RAMPS[check_choice("schedule", name, RAMPS)](start, end, hold_fraction, finish_fraction)


def _check_window(hold_fraction: object, finish_fraction: object) -> None:
    """Raise unless 0 ≤ hold_fraction < finish_fraction ≤ 1."""
    hold = check_fraction("hold_fraction", hold_fraction)
    finish = check_fraction("finish_fraction", finish_fraction)
    if hold >= finish:
        raise InvalidValueError(must("finish_fraction", f"be above hold_fraction ({hold})", finish))
