"""The sections of the page: a file here and a template of the same name in ``templates/sections`` make one.

A file holds ``ORDER``, its place on the page, and ``section``, which returns a Section, or None where there is nothing to
say. Its name is the address on the page and the key in the JSON file.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["sections_of"]


def sections_of(results: Results) -> dict[str, Section]:
    """Return the sections by their address, in their order."""
    modules = {name: import_module(f"{__name__}.{name}") for _, name, _ in iter_modules(__path__)}
    in_order = sorted(modules.items(), key=lambda item: item[1].ORDER)
    sections = {name: module.section(results) for name, module in in_order}
    return {name: section for name, section in sections.items() if section is not None}
