"""Checks of TopKMonitor: stages, names, and modules that it cannot read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_choice

__all__ = ["check_log_name", "check_read_result", "check_stages", "unreadable_module"]

STAGES = ("train", "val", "test")


def check_stages(stages: str | Iterable[str]) -> tuple[str, ...]:
    """Return one or several stages as a non-empty tuple."""
    names = tuple(check_choice("stages", stage, STAGES) for stage in ([stages] if isinstance(stages, str) else stages))
    if not names:
        raise InvalidValueError(must("stages", "name at least one of 'train', 'val', 'test'", "none"))
    return names


def check_log_name(name: str) -> str:
    """Return the pattern of logged names, which has a place for the stage and for k."""
    if not isinstance(name, str):
        raise InvalidTypeError(must("name", "be a text", type(name).__name__))
    try:
        distinct = {name.format(stage=stage, k=k) for stage in ("train", "val") for k in (1, 2)}
    except (IndexError, KeyError, ValueError):
        distinct = set()
    if len(distinct) != 4:
        raise InvalidValueError(must("name", "hold {stage} and {k} and nothing else in braces", repr(name)))
    return name


def check_read_result(result: Any) -> tuple[Tensor, Tensor]:
    """Return what the user's function read: logits and target."""
    if isinstance(result, tuple | list) and len(result) == 2 and all(isinstance(part, Tensor) for part in result):
        return result[0], result[1]
    raise CallbackError(must("read", "return two tensors, logits and target", describe(result)))


def unreadable_module(step: str, outputs: Any, batch: Any, reason: str) -> CallbackError:
    """Return the error for a module whose logits cannot be found, with both ways to make it work."""
    return CallbackError(
        must(
            step,
            "return logits and target, or the batch be a pair (input, target) and the module return logits for input",
            f"{describe(outputs)} returned for {describe(batch)} ({reason})",
            f'Either end {step} with return {{"loss": loss, "logits": logits, "target": target}}, or pass '
            'TopKMonitor(read=lambda outputs, batch: (outputs["my_logits"], batch["my_target"])).',
        )
    )


def describe(value: Any) -> str:
    """Return what a value is, in short."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(map(repr, value)) or 'nothing'}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else f"a {type(value).__name__}"
