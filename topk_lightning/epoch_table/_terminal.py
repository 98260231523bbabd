"""The epoch table as lines of text that fit the terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from topk_lightning.drawing import visible_text
from topk_lightning.epoch_table._columns import column_label

__all__ = ["header_line", "row_lines", "terminal_text"]

_GAP = 2
_NOTE = 19  # the width of most notes
_MINIMUM = {"lr": 6, "k": 2}


def _heading(name: str) -> str:
    kind = column_label(name)
    return "temp" if kind == "temperature" else visible_text(kind)


def _cell(name: str, value: Any) -> str:
    """Return a value as the table shows it: fractions and losses with three decimals, learning rates in short."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    if column_label(name) == "lr":
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}" if value else "0"
    if column_label(name) in ("temperature", "k"):
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.3g}"


def _widths(columns: Sequence[str], width: int) -> dict[str, int]:
    """Return the widths of the columns that fit, leftmost first; the settings only where they leave room for notes."""
    widths: dict[str, int] = {}
    used = -_GAP
    for name in ("epoch", *columns):
        wanted = max(len(_heading(name)), _MINIMUM.get(column_label(name), 5))
        room = width - _GAP - _NOTE if column_label(name) in ("temperature", "k", "lr") else width
        if widths and used + _GAP + wanted > room:
            break
        widths[name] = wanted
        used += _GAP + wanted
    return widths


def header_line(columns: Sequence[str], width: int) -> Text:
    """Return the headings."""
    widths = _widths(columns, width)
    text = (" " * _GAP).join(_heading(name).rjust(size) for name, size in widths.items())
    if len(text) + _GAP + _NOTE <= width:
        text += " " * _GAP + "note"
    return Text(text, style="bold", no_wrap=True)


def row_lines(row: Mapping[str, Any], columns: Sequence[str], width: int) -> Text:
    """Return a row, its note at the end, or below it where the terminal is narrow."""
    widths = _widths(columns, width)
    text = Text((" " * _GAP).join(_cell(name, row.get(name)).rjust(size) for name, size in widths.items()))
    remark = str(row.get("note") or "")
    if remark:
        fits = len(text) + _GAP + len(remark) <= width
        style = "green" if remark.startswith("best") else "yellow"
        text.append((" " * _GAP) if fits else "\n" + " " * (widths["epoch"] + _GAP))
        text.append(remark, style=style)
    return text


def terminal_text(lines: Sequence[Text], console: Console) -> str:
    """Return lines as plain text, with colours where `console` shows them."""
    colours = console.is_terminal or console.is_jupyter
    copy = Console(
        file=io.StringIO(),
        width=console.width,
        force_terminal=colours,
        force_jupyter=False,
        color_system="standard" if colours and not console.no_color else None,
        no_color=console.no_color,
    )
    for line in lines:
        copy.print(line, soft_wrap=True)
    text: str = copy.file.getvalue()  # type: ignore[attr-defined]
    return text
