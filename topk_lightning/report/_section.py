"""A section of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Section"]


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
