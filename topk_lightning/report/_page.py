"""The page: one HTML file from the template, with its style and its script inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from topk_lightning.drawing import DARK, LIGHT, css_variables, number, visible_text
from topk_lightning.report._section import Section

__all__ = ["render"]

_TEMPLATES = Path(__file__).with_name("templates")


def render(
    title: str,
    summary: Mapping[str, Any],
    sections: Mapping[str, Section],
    *,
    folder: str = "sections",
    footer: str = "Intervals are Wilson's at 95 %, each on its own.",
    has_script: bool = True,
) -> str:
    """Return the page as text. Whatever is said in it is escaped, be it in text, an attribute or a drawing.

    Args:
        title: its heading.
        summary: what stands above the sections.
        sections: by their address, which is the name of their template in `folder`.
        folder: of the templates of the sections.
        footer: what is said of the numbers at the end.
        has_script: whether there is a table of classes that the script sorts.
    """
    script, style = (_text("report.js") if has_script else "", _text("report.css"))
    # The only script that may run is this one, and nothing may be loaded: a name that slipped through could do no harm.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = _environment()
    bodies = {
        address: Markup(environment.get_template(f"{folder}/{address}.html").render(section.data))
        for address, section in sections.items()
    }
    return environment.get_template("page.html").render(
        title=title,
        summary=summary,
        footer=footer,
        sections=[(address, section.title, bodies[address]) for address, section in sections.items()],
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        style=Markup(style),
        script=Markup(script),
        script_digest=digest,
    )


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _visible(value: Any) -> Any:
    """Write out what acts unseen in a name; what the page itself is made of stays as it is."""
    return visible_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["percent"] = lambda share: f"{100 * share:.2f}%"
    return environment
