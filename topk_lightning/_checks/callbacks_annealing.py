"""Checks of the callbacks that anneal an attribute of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_integer

__all__ = [
    "annealed_twice",
    "check_attribute",
    "check_ladder",
    "check_ladder_rule",
    "check_schedule",
    "check_schedule_value",
    "missing_attribute",
    "missing_metric",
    "no_progress",
    "not_settable",
    "stopped_short",
    "unknown_epochs",
    "unknown_length",
]


def check_attribute(attribute: object) -> str:
    """Return a dotted path such as "loss.temperature"."""
    if not isinstance(attribute, str):
        raise InvalidTypeError(must("attribute", "be a text", f"{attribute!r} of type {type(attribute).__name__}"))
    if not attribute or not all(attribute.split(".")):
        raise InvalidValueError(must("attribute", 'be a dotted path such as "loss.temperature"', repr(attribute)))
    return attribute


def check_schedule(schedule: object, ramp_options: Mapping[str, tuple[object, object]]) -> Callable[[float], float]:
    """Return a schedule object; the options of a ramp must then be at their defaults, since it has its own.

    Args:
        schedule: what was given.
        ramp_options: the value and the default of each option that only a ramp by name has.
    """
    if isinstance(schedule, type) or not callable(schedule):
        wanted = "be a name, a Schedule or a function of the progress in [0, 1]"
        found = f"the class {schedule.__name__}" if isinstance(schedule, type) else repr(schedule)
        raise InvalidTypeError(must("schedule", wanted, found))
    for name, (value, default) in ramp_options.items():
        if value != default:
            remedy = f"Give {name} to the schedule instead."
            raise InvalidValueError(must(name, "be left out where schedule is an object", value, remedy))
    return schedule


def check_schedule_value(value: object, progress: float) -> float:
    """Return what a schedule returned if it is a finite number above 0."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    raise CallbackError(must("schedule", "return a finite number above 0", f"{value!r} at progress {progress:.4g}"))


def check_ladder(ladder: object) -> tuple[int, ...]:
    """Return two or more k, each another than the one before, as a tuple."""
    if isinstance(ladder, str) or not isinstance(ladder, Iterable):
        raise InvalidTypeError(must("ladder", "be a sequence of k", type(ladder).__name__))
    rungs = tuple(check_integer("ladder", k) for k in ladder)
    if len(rungs) < 2:
        raise InvalidValueError(must("ladder", "hold at least two k", rungs))
    if any(one == other for one, other in pairwise(rungs)):
        raise InvalidValueError(must("ladder", "change k from rung to rung", rungs))
    return rungs


def check_ladder_rule(at: object, monitor: object, threshold: object, patience: object, mode: object) -> None:
    """Raise unless k changes either by progress or by a metric."""
    if (at is None) == (monitor is None):
        got = "neither" if at is None else "both"
        remedy = "Use at=(0, 0.5, 0.8) to go by progress, or monitor= and threshold= to go by a metric."
        raise InvalidValueError(must("KAnnealing", "be given one of at and monitor", got, remedy))
    if (monitor is None) != (threshold is None):
        raise InvalidValueError(must("threshold", "be given with monitor, and only then", threshold))
    for name, value, default in (("patience", patience, 1), ("mode", mode, "max")):
        if monitor is None and value != default:
            raise InvalidValueError(must(name, "be given only with monitor", repr(value)))


def missing_attribute(
    module: object, attribute: str, owner: object, path: str, name: str, remedy: str
) -> CallbackError:
    """Return the error for a module without the attribute.

    Args:
        module: the user's module.
        attribute: the dotted path that was asked for.
        owner: the last object on this path that exists.
        path: the path of that object, "" for the module itself.
        name: the part of the path that it does not have.
        remedy: a sentence with the line to write.
    """
    where = f"{path} is {_kind(owner)}, which" if path else type(module).__name__
    wanted = f"be an attribute of {type(module).__name__}"
    return CallbackError(must("attribute", wanted, f"{attribute!r}, but {where} has no {name}", remedy))


def _kind(owner: object) -> str:
    return f"the function {owner.__name__}" if hasattr(owner, "__name__") else type(owner).__name__


def not_settable(module: object, attribute: str, wanted: str, value: object) -> CallbackError:
    """Return the error for an attribute that holds no number."""
    found = f"a tensor of {value.dtype}" if hasattr(value, "dtype") else f"{value!r} of type {type(value).__name__}"
    return CallbackError(must(f"{type(module).__name__}.{attribute}", f"be {wanted}", found))


def annealed_twice(attribute: str, callbacks: Sequence[object]) -> CallbackError:
    """Return the error for two callbacks that set the same attribute."""
    names = " and ".join(type(callback).__name__ for callback in callbacks)
    return CallbackError(must("attribute", "be set by one callback", f"{attribute!r} by {names}"))


def unknown_length(callback: str) -> CallbackError:
    """Return the error for a training whose number of optimizer steps nobody knows."""
    remedy = f"Pass total_steps= to {callback}, or max_steps= to the Trainer."
    wanted = "be given where the length of training is unknown (endless, or data without a length)"
    return CallbackError(must("total_steps", wanted, None, remedy))


def unknown_epochs(argument: str, wanted: str, actual: Any) -> CallbackError:
    """Return the error for a training whose number of epochs nobody knows."""
    remedy = "Pass max_epochs= to the Trainer."
    return CallbackError(must(argument, f"{wanted} where the number of epochs is unknown", actual, remedy))


def missing_metric(monitor: str, existing: Iterable[str]) -> CallbackError:
    """Return the error for a monitor that the module does not log."""
    names = ", ".join(sorted(existing)) or "none"
    remedy = "Log it with self.log in a step or at the end of an epoch."
    return CallbackError(must("monitor", f"be one of the logged metrics ({names})", repr(monitor), remedy))


def no_progress(method: str) -> CallbackError:
    """Return the error for asking a ladder that goes by a metric for its value at a progress."""
    remedy = "Where k goes by a metric, only training shows it: see history."
    return CallbackError(must(method, "be asked of a ladder that goes by progress (at=)", "monitor=", remedy))


def stopped_short(callback: str, steps: int, total: int) -> str:
    """Return the warning for a training that made fewer optimizer steps than the schedule was made for."""
    wanted = "be given where the optimizer does not step at each batch (or accumulation window)"
    found = f"{steps} steps instead of {total}, so the schedule did not reach its end"
    return must("total_steps", wanted, found, f"Pass total_steps={steps} to {callback}.")
