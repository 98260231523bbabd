"""A number inside a module, by its dotted path: found, read and set in place."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError

__all__ = ["ModuleAttribute", "annealed_twice", "check_attribute", "warn_of_units"]


def check_attribute(attribute: object) -> str:
    """Return a dotted path such as "loss.temperature"."""
    if not isinstance(attribute, str):
        raise InvalidTypeError(must("attribute", "be a text", f"{attribute!r} of type {type(attribute).__name__}"))
    if not attribute or not all(attribute.split(".")):
        raise InvalidValueError(must("attribute", 'be a dotted path such as "loss.temperature"', repr(attribute)))
    return attribute


def annealed_twice(attribute: str, callbacks: Sequence[object]) -> CallbackError:
    """Return the error for two callbacks that set the same attribute."""
    names = " and ".join(type(callback).__name__ for callback in callbacks)
    return CallbackError(must("attribute", "be set by one callback", f"{attribute!r} by {names}"))


@dataclass(frozen=True)
class ModuleAttribute:
    """A number of a module: a plain attribute, a buffer or a parameter, such as "loss.temperature".

    Each call walks the path anew, since a module may exchange its loss during training.

    Args:
        path: the dotted path; parts of a container by their number ("losses.0.temperature").
    """

    path: str

    def owner(self, module: object) -> tuple[object, str]:
        """Return the object that holds the number, and the name it has there."""
        *parents, name = self.path.split(".")
        for parent in parents:
            module = getattr(_compiled(module), parent)
        return _compiled(module), name

    def read(self, module: object) -> Any:
        """Return the value, a copy of its own for a tensor."""
        owner, name = self.owner(module)
        value = getattr(owner, name)
        return value.detach().clone() if isinstance(value, Tensor) else value

    def write(self, module: object, value: Any) -> None:
        """Set the value; a buffer or parameter is filled in place, without waiting for its device."""
        owner, name = self.owner(module)
        current = getattr(owner, name)
        if not isinstance(current, Tensor):
            setattr(owner, name, value)
            return
        with torch.no_grad():
            if isinstance(value, Tensor):
                current.copy_(value)
            else:
                current.fill_(value)

    def check(self, module: Any, example: str, whole: bool) -> None:
        """Raise CallbackError unless the module has the attribute and it holds a number.

        Args:
            module: the module of the user, or a Learner of fastai.
            example: how to make what the path leads to, such as "TemperatureCrossEntropyLoss()", for the error.
            whole: whether the values to come are whole numbers, which an integer tensor can hold.
        """
        parts = self.path.split(".")
        owner: Any = module
        for depth, part in enumerate(parts):
            owner = _compiled(owner)
            if not hasattr(owner, part):
                others = [] if depth else self._others(module)
                remedy = f"Did you mean attribute={others[0]!r}?" if others else self._line(module, example)
                name = _name(module)
                where = f"{'.'.join(parts[:depth])} is {_kind(owner)}, which" if depth else name
                actual = f"{self.path!r}, but {where} has no {part}"
                raise CallbackError(must("attribute", f"be an attribute of {name}", actual, remedy))
            owner = getattr(owner, part)
        if owner is None and whole:
            return  # a k that the loss settles by itself
        fits = isinstance(owner, Tensor) and (whole or owner.is_floating_point())
        if not fits and (isinstance(owner, bool) or not isinstance(owner, int | float)):
            wanted = "be a number" if whole else "be a number or a tensor of floats"
            actual = f"a tensor of {owner.dtype}" if isinstance(owner, Tensor) else f"{owner!r} of type {_name(owner)}"
            raise CallbackError(must(f"{_name(module)}.{self.path}", wanted, actual))

    def _line(self, module: Any, example: str) -> str:
        """Return a sentence with what to write: an object that has the number, or the number itself."""
        name = type(module).__name__
        owner = self.path.rpartition(".")[0]
        makes_owner = example.endswith(")") and owner
        if makes_owner and owner in inspect.signature(type(module)).parameters:
            return f"Pass {owner}={example} to {name}."
        if not isinstance(module, nn.Module):  # the class of a Learner is not the user's
            return f"Add this line before training: learn.{self.path} = {example}"
        return f"Add this line to {name}.__init__: self.{owner if makes_owner else self.path} = {example}"

    def _others(self, module: nn.Module) -> list[str]:
        """Return the paths that end alike, but for those of metrics, which must keep what they measure."""
        name = self.path.rpartition(".")[2]
        parts = [(prefix, part) for prefix, part in module.named_modules() if prefix and not hasattr(part, "compute")]
        return [
            f"{prefix}.{name}" for prefix, part in parts if isinstance(getattr(part, name, None), int | float | Tensor)
        ]


def _name(value: object) -> str:
    return type(value).__name__


def _kind(owner: object) -> str:
    return f"the function {owner.__name__}" if hasattr(owner, "__name__") else _name(owner)


def _compiled(owner: Any) -> Any:
    """Return what torch.compile wraps: an assignment has to reach the module itself."""
    modules = getattr(owner, "_modules", None)
    return modules["_orig_mod"] if modules and "_orig_mod" in modules else owner


def warn_of_units(path: str, owner: object, name: str) -> None:
    """Warn if a number belongs to a loss whose units change with k: a schedule then moves two things at once."""
    if getattr(owner, "units_hold_k", False) is True:
        text = must(
            path,
            f"belong to a loss in units of the logits to be annealed by {name} alone",
            f'{type(owner).__name__}(units="published"), whose units change with k',
            'Pass units="logits".',
        )
        warnings.warn(text, stacklevel=1)
