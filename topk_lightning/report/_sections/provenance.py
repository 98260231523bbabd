"""How the report was made."""

from __future__ import annotations

from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 90


def section(results: Results) -> Section:
    """Return network, checkpoint, data, versions, date and machine."""
    values = [{"heading": heading, "text": text} for heading, text in results.facts]
    return Section("How it was made", {"facts": results.facts}, {"facts": values})
