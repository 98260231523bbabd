"""Numbers and lists in the sentences of findings."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["count", "percent", "some"]

# Names in a list before "and 12 more": what a sentence can hold.
_NAMED = 3


def percent(fraction: float) -> str:
    """Return a fraction as a percentage; only 0 is "0 %" and only 1 is "100 %"."""
    if 0 < fraction < 0.01 or 0.99 < fraction < 1:
        text = f"{100 * fraction:.1f} %"
        return {"0.0 %": "under 0.1 %", "100.0 %": "over 99.9 %"}.get(text, text)
    return f"{100 * fraction:.0f} %"


def count(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(things: Sequence[object]) -> str:
    """Return the first few of `things` and how many more there are."""
    more = len(things) - _NAMED
    named = ", ".join(map(str, things[:_NAMED]))
    return f"{named} and {more} more" if more > 0 else named
