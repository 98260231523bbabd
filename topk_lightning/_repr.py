"""How objects say what they are: in one line, and in a notebook as tables and pictures."""

from __future__ import annotations

import base64
import html
import inspect
import warnings
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from topk_lightning._checks import shown

__all__ = ["described", "html_picture", "html_table", "html_text", "without_widget_hints"]

_MOST = 50  # rows of a table


def described(instance: object, without: Sequence[str] = ()) -> str:
    """Return an object as the call that makes it: its class with those arguments that are not the defaults.

    Each argument is read from the attribute of its name.

    Args:
        instance: the object.
        without: arguments that say nothing more.

    Examples:
        >>> class Ladder:
        ...     def __init__(self, steps, wide=False):
        ...         self.steps, self.wide = steps, wide
        >>> described(Ladder(3)), described(Ladder(3, wide=True))
        ('Ladder(steps=3)', 'Ladder(steps=3, wide=True)')
    """
    arguments = []
    for name, parameter in inspect.signature(type(instance)).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or not hasattr(instance, name):
            continue
        if name in without:
            continue
        value = getattr(instance, name)
        value = str(value) if isinstance(value, Path) else value
        # Compared as text: arrays compare by element.
        if repr(value) != repr(parameter.default):
            arguments.append(f"{name}={shown(value)}")
    return f"{type(instance).__name__}({', '.join(arguments)})"


def html_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of texts and numbers, numbers to the right with three decimals; no more than fifty rows.

    Examples:
        >>> html_table(["k", "accuracy"], [[1, 0.5]])[:48]
        '<table><thead><tr><th>k</th><th>accuracy</th></t'
    """
    rows = [*rows]
    head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:_MOST])
    more = f"<p>… and {len(rows) - _MOST:,} more.</p>" if len(rows) > _MOST else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def html_text(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def html_picture(png: bytes, description: str) -> str:
    """Return a picture that stands in the page itself."""
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def without_widget_hints() -> None:
    """Let rich's progress bars no longer ask, at each epoch, for ipywidgets where they are not installed."""
    if find_spec("ipywidgets") is None:
        warnings.filterwarnings("ignore", message='install "ipywidgets" for Jupyter support')


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td style="text-align: right">{value:.3f}</td>'
    if isinstance(value, int):
        return f'<td style="text-align: right">{value:,}</td>'
    return f'<td style="text-align: left">{html.escape(str(value))}</td>'
