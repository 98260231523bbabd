"""Every argument check and every error sentence of the library, one file a topic.

The form of a sentence is fixed in one place, :func:`must`: ``<argument> must be <requirement>, got <actual>.`` plus at
most one sentence of remedy. A wrong type or dtype is a ``TypeError``, a wrong value or shape a ``ValueError``.
"""

from __future__ import annotations

__all__ = ["must"]


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
