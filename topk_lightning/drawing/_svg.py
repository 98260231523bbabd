"""A figure as plain numbers in the units of its drawing; the template turns it into SVG, its rows into a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["HEIGHT", "WIDTH", "Bar", "Line", "Plot", "Point", "Scale", "nice_ticks", "number"]

#: A drawing of this many units is some 350 pixels wide on a phone and 550 on a desk: text of 13 units is read on both.
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 50, 448, 12, 256


@dataclass(frozen=True)
class Scale:
    """Map data between `low` and `high` to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def across(cls, low: float, high: float) -> Scale:
        """Return a scale over the width of the drawing."""
        return cls(low, high, LEFT, RIGHT)

    @classmethod
    def upward(cls, low: float, high: float) -> Scale:
        """Return a scale over the height of the drawing."""
        return cls(low, high, BOTTOM, TOP)

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self.low) / (self.high - self.low or 1)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class Line:
    """A curve: its path, its name in the legend ("" for none), and the number of its colour and dashes."""

    label: str
    path: str
    style: int = 0


@dataclass(frozen=True)
class Bar:
    """A bar, with the words that show over it."""

    x: float
    y: float
    width: float
    height: float
    tip: str
    kind: str = ""


@dataclass(frozen=True)
class Point:
    """A point with its words; `low` and `high` are the ends of its interval, where it has one."""

    x: float
    y: float
    tip: str
    style: int = 0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Plot:
    """A figure with axes.

    Args:
        name: short and unique in the page, for the addresses of its parts.
        title: what it shows.
        summary: the same in a sentence or two with its main numbers, for those who do not see it.
        x_label: what runs across.
        y_label: what runs upward.
        x_ticks: places and texts.
        y_ticks: places and texts.
        columns: headings of the table of its numbers.
        rows: the table.
    """

    name: str
    title: str
    summary: str
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    areas: Sequence[str] = ()
    lines: Sequence[Line] = ()
    bars: Sequence[Bar] = ()
    points: Sequence[Point] = ()
    guides: Sequence[Line] = field(default=())


def path_of(points: Iterable[tuple[float, float]], closed: bool = False) -> str:
    """Return the path through points, in SVG's words."""
    text = "L".join(f"{x:g} {y:g}" for x, y in points)
    return f"M{text}{'Z' if closed else ''}" if text else ""


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, about `count` of them, 1, 2 or 5 times a power of ten apart.

    Examples:
        >>> nice_ticks(0, 1)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        >>> nice_ticks(1.3, 6.2)
        [2.0, 3.0, 4.0, 5.0, 6.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(tick * step, 12) for tick in range(first, last + 1)]


def number(value: float, digits: int = 3) -> str:
    """Return a number for people; "–" for one that is not defined.

    Examples:
        >>> number(2 / 3), number(float("nan")), number(12345, 0)
        ('0.667', '–', '12,345')
    """
    return f"{value:,.{digits}f}" if math.isfinite(value) else "–"
