"""The sections of the page of two models: a file here and a template of the same name in ``templates/comparison`` make one.

A file holds ``ORDER``, its place on the page, and ``section``, which returns a Section, or None where there is nothing to say.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from topk_lightning.report._compared import Compared
from topk_lightning.report._section import Section

__all__ = ["comparison_sections"]


def comparison_sections(found: Compared) -> dict[str, Section]:
    """Return the sections by their address, in their order."""
    modules = {name: import_module(f"{__name__}.{name}") for _, name, _ in iter_modules(__path__)}
    in_order = sorted(modules.items(), key=lambda item: item[1].ORDER)
    sections = {name: module.section(found) for name, module in in_order}
    return {name: section for name, section in sections.items() if section is not None}
