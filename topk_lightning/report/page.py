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

from topk_lightning.drawing import DARK, LIGHT, css_variables, number

__all__ = ["render"]

_TEMPLATES = Path(__file__).with_name("templates")


def render(content: Mapping[str, Any]) -> str:
    """Return the page as text. Whatever `content` holds is escaped, be it in text, an attribute or a drawing."""
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    # The only script that may run is this one, and nothing may be loaded: a name that slipped through could do no harm.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(
            content,
            light=css_variables(LIGHT),
            dark=css_variables(DARK),
            style=Markup(style),
            script=Markup(script),
            script_digest=digest,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["percent"] = lambda share: f"{100 * share:.2f}%"
    return environment
