"""Checks of callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = ["check_trace_path", "nothing_to_trace", "unseen_monitor"]


def check_trace_path(path: object) -> Path:
    """Return the path of an epoch table, a csv or json file."""
    if not isinstance(path, str | Path):
        raise InvalidTypeError(must("path", "be a text or a Path", type(path).__name__))
    if Path(path).suffix not in (".csv", ".json"):
        raise InvalidValueError(must("path", "end in .csv or .json", repr(str(path))))
    return Path(path)


def nothing_to_trace(logged: Sequence[str]) -> str:
    """Return the warning for a module that logs nothing which the epoch table shows."""
    return must(
        "logged names",
        'hold a loss or an accuracy that TrainingTrace knows, such as "train/loss" or "val/top5"',
        ", ".join(logged) or "none",
        "Log them with on_epoch=True.",
    )


def unseen_monitor(monitor: str, logged: Sequence[str]) -> str:
    """Return the warning for an epoch table that should follow a value which nobody logs."""
    names = ", ".join(logged) or "none"
    remedy = "Without it no epoch is remarked as the best."
    return must("monitor", f"be one of the logged metrics ({names})", repr(monitor), remedy)
