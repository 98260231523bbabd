"""A schedule that a user gave as an object or a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = ["check_schedule"]


def check_schedule(schedule: object, ramp_options: Mapping[str, tuple[object, object]]) -> Callable[[float], float]:
    """Return a schedule object; the options of a ramp must then be at their defaults, since it has its own.

    Args:
        schedule: what was given.
        ramp_options: the value and the default of each option that only a ramp by name has.
    """
    if isinstance(schedule, type) or not callable(schedule):
        wanted = "be a name, a Schedule or a function of the progress in [0, 1]"
        actual = f"the class {schedule.__name__}" if isinstance(schedule, type) else repr(schedule)
        raise InvalidTypeError(must("schedule", wanted, actual))
    for name, (value, default) in ramp_options.items():
        if value != default:
            remedy = f"Give {name} to the schedule instead."
            raise InvalidValueError(must(name, "be left out where schedule is an object", value, remedy))
    return schedule
