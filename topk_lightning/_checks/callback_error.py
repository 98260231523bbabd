"""The error of callbacks."""

from __future__ import annotations

__all__ = ["CallbackError"]


class CallbackError(ValueError):
    """A callback that cannot do its work with this module, trainer or data, and says what to change."""
