"""Every argument check and every error sentence of the library, one file a topic.

The form of a sentence is fixed in one place, :func:`must`: ``<argument> must be <requirement>, got <actual>.`` plus at
most one sentence of remedy. Errors of the library are a :class:`UserError` beside the class that Python has for them.
"""

from __future__ import annotations

__all__ = [
    "InvalidTypeError",
    "InvalidValueError",
    "MissingFileError",
    "MissingPackageError",
    "UserError",
    "must",
    "shown",
]


class UserError(Exception):
    """The marker of an error that the user can mend: its text is the whole answer, a traceback adds nothing.

    It stands beside Python's own class, so that ``except ValueError`` works as for any other library.
    """


class InvalidTypeError(UserError, TypeError):
    """A wrong type or dtype."""


class InvalidValueError(UserError, ValueError):
    """A wrong value or shape."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that is not there."""


class MissingPackageError(UserError, ModuleNotFoundError):
    """A package that is not installed, and how to install it."""


def must(argument: str, requirement: str, actual: object, remedy: str = "") -> str:
    """Return the one error sentence of the library, with its remedy.

    Args:
        argument: the name of the argument, as the user wrote it.
        requirement: what it must be (a phrase that follows "must", such as "be a positive number").
        actual: what it was.
        remedy: one whole sentence that says what to do, or nothing.

    Examples:
        >>> must("k", "be at least 1", 0)
        'k must be at least 1, got 0.'
    """
    return f"{argument} must {requirement}, got {actual}." + (f" {remedy}" if remedy else "")


def shown(value: object, length: int = 60) -> str:
    """Return a value for a sentence: as Python writes it, on one line and no longer than that.

    Examples:
        >>> shown(list(range(10_000)), 12)
        '[0, 1, 2,...'
    """
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."
