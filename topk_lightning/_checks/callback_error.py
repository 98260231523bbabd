"""The error of callbacks."""

from __future__ import annotations

from topk_lightning._checks import InvalidValueError

__all__ = ["CallbackError"]


class CallbackError(InvalidValueError):
    """A callback that cannot do its work with this module, trainer or data, and says what to change."""
