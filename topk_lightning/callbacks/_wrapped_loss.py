"""A loss of a module that something stands before for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning.curricula import ModuleAttribute

__all__ = ["WrappedLoss"]

Loss = Callable[..., Tensor]


class WrappedLoss:
    """Compute what a module's loss returns in another way, between :meth:`put` and :meth:`remove`.

    The loss stays the object it is: an nn.Module gets another ``forward`` of its own, so that its class, its state dict,
    its hooks and its attributes (a temperature, k) are what they were; other callables stand behind one that passes
    attributes on. A compiled module leaves its graph for the loss, which may change from step to step.

    Args:
        module: the LightningModule.
        attribute: dotted path of the loss.

    Raises:
        CallbackError: if the module has no such loss.
    """

    def __init__(self, module: nn.Module, attribute: str) -> None:
        self._attribute = attribute
        try:
            self._owner, self._name = ModuleAttribute(attribute).owner(module)
            self.loss: Any = getattr(self._owner, self._name)
        except AttributeError as error:
            raise _missing_loss(module, attribute) from error
        if not callable(self.loss):
            raise _missing_loss(module, attribute)
        is_module = isinstance(self.loss, nn.Module)
        # vars(): nn.Module and the module of torch.compile intercept an assignment.
        self._home = vars(self.loss if is_module else self._owner)
        self._key = "forward" if is_module else self._name
        self._before = {self._key: self._home[self._key]} if self._key in self._home else {}

    def put(self, around: Callable[[Loss, Tensor, Tensor], Tensor]) -> None:
        """Let `around(loss, logits, target)` compute what the loss returns."""
        is_module = isinstance(self.loss, nn.Module)
        inner: Loss = self.loss.forward if is_module else self.loss

        def call(*args: Any, **kwargs: Any) -> Tensor:
            if len(args) != 2 or kwargs or not all(isinstance(argument, Tensor) for argument in args):
                wanted = "be called as loss(logits, target)"
                raise CallbackError(must(self._attribute, wanted, "other arguments"))
            return around(inner, *args)

        eager: Loss = torch.compiler.disable(call)  # type: ignore[no-untyped-call]
        self._home[self._key] = eager if is_module else _Standing(self.loss, eager)

    def remove(self) -> None:
        """Put the loss back as it was."""
        self._home.pop(self._key, None)
        self._home.update(self._before)


class _Standing:
    """Stand before a callable that is no nn.Module; attributes are its own."""

    def __init__(self, inner: Any, call: Loss) -> None:
        vars(self).update(_inner=inner, _call=call)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._call(*args, **kwargs)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_inner"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["_inner"], name, value)


def _missing_loss(module: nn.Module, attribute: str) -> CallbackError:
    """Return the error for a module without this loss, with the line to add or the loss that it has."""
    name = type(module).__name__
    others = [path for path, part in module.named_modules() if path and type(part).__name__.endswith("Loss")]
    remedy = f"Did you mean attribute={others[0]!r}?" if others else (
        f"Add self.{attribute} = torch.nn.CrossEntropyLoss() to {name}.__init__ and call "
        f"self.{attribute}(logits, target) in its steps."
    )  # fmt: skip
    return CallbackError(must("attribute", f"name a loss of {name} that can be called", repr(attribute), remedy))
