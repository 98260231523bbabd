"""Checks of the options of ``topk-lightning predict --trace``; they need no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, must

__all__ = ["check_one_file", "check_trace_options"]


def check_trace_options(traced: bool, form: str, target: str | None, picture: str | None) -> None:
    """Check what goes with a trace, and what does not go without."""
    if traced and form != "table":
        raise InvalidValueError(must("--format", "be table for a trace, which is for people", form))
    if target is not None and not traced:
        raise InvalidValueError(must("--target", "come with --trace, which looks for the true class", repr(target)))
    if picture is not None and not picture.lower().endswith(".png"):
        raise InvalidValueError(must("--trace-picture", "end in .png", repr(picture)))


def check_one_file(files: Sequence[Path]) -> Path:
    """Return the only image that is to be traced."""
    if len(files) != 1:
        raise InvalidValueError(
            must("--trace", "be given one image", len(files), f"Name one of them, such as {files[0]}.")
        )
    return files[0]
