"""Docstrings for the documentation site: formulas become MathML, which browsers draw by themselves, and roles links.

Editors and `help()` understand what stands in the docstrings (``:math:``, ``.. math::``, ``:class:``); MkDocs knows only
Markdown. The site thus needs no script for its formulas and loads nothing from elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

_BLOCK = re.compile(r"^\.\. math:: *(.+(?:\n +\S.*)*)", re.MULTILINE)
_INLINE = re.compile(r":math:`([^`]+)`")
_ROLE = re.compile(r":(?:class|func|meth|attr|mod):`(~?)([\w.]+)`")


class DocstringMarkup(griffe.Extension):
    """Rewrites each docstring when it has been read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value, obj.path.removesuffix(f".{obj.name}"))


def to_markdown(text: str, scope: str) -> str:
    """Return a docstring with formulas as MathML and roles as links, where their target has a place in the site.

    Args:
        text: the docstring.
        scope: path of the module or class in which a name without a path is looked up.
    """
    text = _BLOCK.sub(lambda found: f'<div class="formula">{_draw(found[1], "block")}</div>', text)
    text = _INLINE.sub(lambda found: _draw(found[1], "inline"), text)
    return _ROLE.sub(lambda found: _link(found[2], scope, short=found[1] == "~"), text)


def _draw(formula: str, display: str) -> str:
    formula = " ".join(formula.split()).replace(r"\arg", r"\operatorname{arg}\,")  # which the converter does not know
    return convert(formula, display=display)


def _link(target: str, scope: str, short: bool) -> str:
    if scope.startswith("topk_lightning.losses."):
        scope = "topk_lightning.losses"  # by its other paths the function of a loss stands on two pages
    path = target if "." in target and not target[0].isupper() else f"{scope}.{target}"
    shown = target.rpartition(".")[2] if short else target.removeprefix("topk_lightning.")
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
