"""A section of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

__all__ = ["Section", "sections_in"]


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        title: its heading, also in the contents.
        data: what its template needs; no other template sees it.
        values: the same for the JSON file: dicts, lists, dataclasses, numbers and texts.
    """

    title: str
    data: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)


def sections_in(package: ModuleType, results: Any) -> dict[str, Section]:
    """Return the sections of a page by their address, in their order.

    Args:
        package: each of its files is one: ``ORDER``, its place on the page, and ``section``, which returns a Section, or
            None where there is nothing to say. The name of the file is the address and the key in the JSON file.
        results: what the sections are made of.
    """
    names = [name for _, name, _ in iter_modules(package.__path__)]
    modules = {name: import_module(f"{package.__name__}.{name}") for name in names}
    in_order = sorted(modules.items(), key=lambda item: item[1].ORDER)
    sections = {name: module.section(results) for name, module in in_order}
    return {name: section for name, section in sections.items() if section is not None}
