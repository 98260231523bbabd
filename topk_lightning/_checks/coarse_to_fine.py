"""Checks of CoarseToFine: its schedule, the loss of the module, the hierarchy of the data module."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_choice

__all__ = [
    "check_coarse_weight",
    "check_phases",
    "loss_not_called",
    "missing_hierarchy",
    "missing_loss",
    "no_class_loss",
    "one_group",
    "per_class_tensor",
    "positional_only",
    "two_on_one_loss",
    "unclear_ignore_index",
    "unclear_level",
]

SCHEDULES = ("switch", "linear", "cosine")


def check_phases(schedule: object, hold_fraction: object, finish_fraction: object) -> Callable[[float], float] | str:
    """Return a schedule object, or the name of one."""
    if isinstance(schedule, str):
        check_choice("schedule", schedule, SCHEDULES)
        if schedule == "switch" and finish_fraction is not None:
            remedy = "A switch happens at hold_fraction."
            raise InvalidValueError(
                must("finish_fraction", 'be left out where schedule is "switch"', finish_fraction, remedy)
            )
        return schedule
    if isinstance(schedule, type) or not callable(schedule):
        found = f"the class {schedule.__name__}" if isinstance(schedule, type) else repr(schedule)
        raise InvalidTypeError(must("schedule", "be a name, a Schedule or a function of the progress in [0, 1]", found))
    for name, value in (("hold_fraction", hold_fraction), ("finish_fraction", finish_fraction)):
        if value is not None:
            remedy = f"Give {name} to the schedule instead."
            raise InvalidValueError(must(name, "be left out where schedule is an object", value, remedy))
    return schedule


def check_coarse_weight(value: object, progress: float) -> float:
    """Return what a schedule returned if it is a weight in [0, 1]."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    wanted = "return the weight of the coarse loss, in [0, 1]"
    raise CallbackError(must("schedule", wanted, f"{value!r} at progress {progress:.4g}"))


def missing_hierarchy(datamodule: object) -> CallbackError:
    """Return the error for a hierarchy that nobody gave."""
    found = "no data module" if datamodule is None else f"{type(datamodule).__name__} without one"
    remedy = "Pass a list of group indices, a dict {class: group}, a csv file or a folder root/group/class."
    return CallbackError(must("fine_to_coarse", "be given where the data module has none", found, remedy))


def unclear_level(level: object, levels: Collection[str]) -> CallbackError:
    """Return the error for a level that the data module does not have, or for the choice between several."""
    return CallbackError(must("level", f"be one of the data module's ({', '.join(map(repr, levels))})", repr(level)))


def one_group() -> CallbackError:
    """Return the error for a hierarchy in which all classes are one group."""
    return CallbackError(must("fine_to_coarse", "hold at least 2 groups", 1, "One group leaves nothing to learn."))


def missing_loss(module: object, attribute: str, others: Collection[str]) -> CallbackError:
    """Return the error for a module without this loss, with the line to add."""
    name = type(module).__name__
    remedy = f"Did you mean attribute={next(iter(others))!r}?" if others else (
        f"Add self.{attribute} = torch.nn.CrossEntropyLoss() to {name}.__init__ and call "
        f"self.{attribute}(logits, target) in its steps."
    )  # fmt: skip
    return CallbackError(must("attribute", f"name a loss of {name} that can be called", repr(attribute), remedy))


def per_class_tensor(attribute: str, name: str, tensor: Tensor, groups: int) -> CallbackError:
    """Return the error for class weights, margins and the like."""
    wanted = f"be left out, since the loss is also computed on {groups} groups"
    remedy = "Balance the classes by sampling instead, such as with torch.utils.data.WeightedRandomSampler."
    return CallbackError(must(f"{attribute}.{name}", wanted, f"a tensor of shape {tuple(tensor.shape)}", remedy))


def no_class_loss(attribute: str, loss: object) -> CallbackError:
    """Return the error for losses of several labels, whose scores are no distribution over classes."""
    wanted = "be a loss of one right class a row, whose logits may be summed over a group"
    return CallbackError(must(attribute, wanted, type(loss).__name__))


def unclear_ignore_index(attribute: str, ignore_index: Any, groups: int) -> CallbackError:
    """Return the error for an ignored label that is also the index of a group."""
    wanted = f"be outside the indices of the groups, [0, {groups})"
    return CallbackError(must(f"{attribute}.ignore_index", wanted, ignore_index, "Use -100."))


def loss_not_called(attribute: str, module: object) -> CallbackError:
    """Return the error for a module that has the loss but computes another."""
    name = type(module).__name__
    remedy = f"Call self.{attribute}(logits, target) in training_step, or pass the attribute that it calls."
    return CallbackError(must(f"{name}.{attribute}", "be called in training_step", "a step without it", remedy))


def positional_only(attribute: str) -> CallbackError:
    """Return the error for a loss that is called in another way."""
    return CallbackError(must(attribute, "be called as loss(logits, target)", "other arguments"))


def two_on_one_loss(attribute: str) -> CallbackError:
    """Return the error for two of the callbacks on one loss."""
    return CallbackError(must("attribute", "be coarsened by one CoarseToFine", f"{attribute!r} by two"))
