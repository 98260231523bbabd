"""How the page was made."""

from __future__ import annotations

from topk_lightning.report._compared import Compared
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 90


def section(compared: Compared) -> Section:
    """Return what was compared, versions, date and machine."""
    return Section("How it was made", {"facts": compared.facts})
