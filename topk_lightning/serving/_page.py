"""The page: one HTML file from the template, with its style and its script inside, in the colours of the report."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from topk_lightning.drawing import DARK, LIGHT, css_variables

__all__ = ["render_page"]

_PROMISES = (0.8, 0.9, 0.95)
_TEMPLATES = Path(__file__).with_name("templates")


def render_page(
    num_classes: int, k: int, max_bytes: int, fitted: float | None = None, shows_sets: bool = False
) -> tuple[str, str]:
    """Return the page as text, and the Content-Security-Policy that lets nothing run or load but what stands in it.

    Args:
        num_classes: C, the most that a person may ask for.
        k: how many classes the page asks for at first.
        max_bytes: of a file; the page says so before it sends a larger one.
        fitted: the promise of the model's prediction sets; None: there are none to ask for.
        shows_sets: whether the page asks for sets at first.
    """
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    style = environment.get_template("page.css").render(light=css_variables(LIGHT), dark=css_variables(DARK))
    page = environment.get_template("page.html").render(
        num_classes=num_classes,
        k=k,
        max_bytes=max_bytes,
        promises=[] if fitted is None else sorted({*_PROMISES, fitted}),
        chosen=fitted if shows_sets else None,
        style=Markup(style),
        script=Markup(script),
    )
    policy = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "img-src": "blob: data:",  # what the person dropped, and the empty icon
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return page, "; ".join(f"{name} {sources}" for name, sources in policy.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
