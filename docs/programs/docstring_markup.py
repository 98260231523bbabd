"""Docstrings for the documentation site: formulas become MathML, which browsers draw by themselves, and roles links.

Editors and `help()` understand what stands in the docstrings (``:math:``, ``.. math::``, ``:class:``); MkDocs knows only
Markdown. The site thus needs no script for its formulas and loads nothing from elsewhere.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe
from latex2mathml.converter import convert

_BLOCK = re.compile(r"^\.\. math:: *(.+(?:\n +\S.*)*)", re.MULTILINE)
_INLINE = re.compile(r":math:`([^`]+)`")
_CODE = re.compile(r"(``.*?``|`[^`\n]+`|^ *(?:>>>|\.\.\.).*$|</?[a-z][^<>]*>)", re.MULTILINE)
_BELOW = re.compile(r"(?<![\w.])([^\W\d_]′?|1)_(?:\{([^}\n]+)\}|(\[[^\]\n]+\]|[^\W_]))(?!\w)")
_ABOVE = re.compile(r"(?<=[\w)])\^(?:\(([^)\n]+)\)|([−\w]+))")
_ROLE = re.compile(r":(?:class|func|meth|attr|mod):`(~?)([\w.]+)`")


class DocstringMarkup(griffe.Extension):
    """Rewrites each docstring when it has been read."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Show ``x_loss = loss_function(XLoss)`` as the function that it is, with the options of the class."""
        module = re.fullmatch(r"loss_function\((\w+)\)", str(attr.value))
        if module is None or attr.parent is None:
            return
        of_class = attr.parent.members[module[1]].members["__init__"].parameters
        scores = [
            griffe.Parameter(name, kind=griffe.ParameterKind.positional_or_keyword, annotation="Tensor")
            for name in ("logits", "target")
        ]
        function = griffe.Function(
            attr.name,
            lineno=attr.lineno,
            endlineno=attr.endlineno,
            parameters=griffe.Parameters(*scores, *list(of_class)[1:]),
            returns="Tensor",
            docstring=griffe.Docstring(
                f"Return the loss of a batch, as :class:`{module[1]}` with the same options does."
            ),
        )
        attr.parent.set_member(attr.name, function)
        self.on_instance(obj=function)

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.is_class and obj.path.startswith("topk_lightning.losses.") and obj.name.endswith("Loss"):
            # Losses complete their docstrings when they are imported.
            module = importlib.import_module(obj.path.removesuffix(f".{obj.name}"))
            obj.docstring = griffe.Docstring(inspect.getdoc(getattr(module, obj.name)) or "", parent=obj)
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
    text = with_indices(text)
    return _ROLE.sub(lambda found: _link(found[2], scope, short=found[1] == "~"), text)


def with_indices(text: str) -> str:
    """Return a text whose plain formulas, such as s_y, s_[k] and e^x, have their indices and powers in place."""
    parts = _CODE.split(text)
    parts[::2] = [
        _ABOVE.sub(
            lambda found: f"<sup>{found[1] or found[2]}</sup>",
            _BELOW.sub(lambda found: f"{found[1]}<sub>{found[2] or found[3]}</sub>", part),
        )
        for part in parts[::2]
    ]
    return "".join(parts)


def _draw(formula: str, display: str) -> str:
    formula = " ".join(formula.split()).replace(r"\arg", r"\operatorname{arg}\,")  # which the converter does not know
    drawn = convert(formula, display=display)
    # A line that begins with <math> would be a block of its own for Markdown, and end the paragraph.
    return drawn if display == "block" else f'<span class="in-line">{drawn}</span>'


def _link(target: str, scope: str, short: bool) -> str:
    if scope.startswith("topk_lightning.losses."):
        scope = "topk_lightning.losses"  # by its other paths the function of a loss stands on two pages
    path = target if "." in target and not target[0].isupper() else f"{scope}.{target}"
    shown = target.rpartition(".")[2] if short else target.removeprefix("topk_lightning.")
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
