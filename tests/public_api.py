"""What users can rely on, as text: every public name with its parameters and defaults, every option of the command line.

    python -m tests.public_api

writes it to public_api.txt beside this file; `test_public_api.py` compares. See "Versions" in docs/contributing.md.
"""

from __future__ import annotations

import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import topk_lightning
from topk_lightning import cli

PACKAGE = Path(topk_lightning.__file__).parent
HOOKS = re.compile(r"_|on_|.*_(step|dataloader)$")
WRITTEN = Path(__file__).with_name("public_api.txt")


def public_api() -> list[str]:
    """Return the lines of the public interface, package by package."""
    lines = [f"topk_lightning.{name}" for name in topk_lightning.__all__]
    for package in _packages():
        for name in importlib.import_module(package).__all__:
            lines += of_name(f"{package}.{name}", getattr(importlib.import_module(package), name))
    return [*lines, *(line for command in cli.COMMANDS for line in of_command(command))]


def _packages() -> Iterator[str]:
    """Yield what names are imported from: modules and packages of the first level, and the integrations."""
    for folder, prefix in (("", ""), ("integrations", "integrations.")):
        for module in pkgutil.iter_modules([str(PACKAGE / folder)]):
            if not module.name.startswith("_") and module.name not in ("cli", "integrations", "lightning"):
                yield f"topk_lightning.{prefix}{module.name}"


def of_name(name: str, thing: Any) -> Iterator[str]:
    """Yield the line of one name, and those of what a class adds to the classes of others."""
    if inspect.isclass(thing):
        yield name + _parameters(thing)
        ours = [kind for kind in thing.__mro__ if kind.__module__.startswith("topk_lightning")]
        others = {member for kind in thing.__mro__ if kind not in ours for member in vars(kind)}
        members = {member for kind in ours for member in vars(kind)}
        for member in sorted(member for member in members - others if not HOOKS.match(member)):
            value = inspect.getattr_static(thing, member)
            value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            yield f"{name}.{member}{_parameters(value) if inspect.isroutine(value) else ''}"
    else:
        yield name + (_parameters(thing) if callable(thing) else "")


def _parameters(thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # of C
        return "(…)"
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    text = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(?:function|class|object) ?'?([\w.<>]+?)'?(?: at 0x\w+)?>", r"\1", text)


def of_command(command: str) -> Iterator[str]:
    """Yield the options of a command, as its help names them."""
    shown = io.StringIO()
    with redirect_stdout(shown):
        cli.main([command, "--help"])
    yield f"topk-lightning {command}"
    for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][\w-]+(?![\w.])", shown.getvalue()))):
        yield f"topk-lightning {command} {option}"


if __name__ == "__main__":
    WRITTEN.write_text("\n".join(public_api()) + "\n", encoding="utf-8")
