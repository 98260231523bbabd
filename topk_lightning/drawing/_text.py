"""Text of unknown origin, made harmless to look at."""

from __future__ import annotations

import re

__all__ = ["visible_text"]

# Control characters but for tab and line feed, marks that turn the direction of what follows, and halves of surrogate pairs.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible_text(text: str) -> str:
    r"""Return a text with what acts unseen written out: escape sequences, and marks that turn the direction of reading.

    Letters of all scripts stay as they are, and so do the joiners that emoji are made of.

    Examples:
        >>> visible_text("\x1b[31mred, \u202egnp.exe") == r"\x1b[31mred, \u202egnp.exe"
        True
    """
    return _INVISIBLE.sub(lambda found: repr(found.group())[1:-1], text)
