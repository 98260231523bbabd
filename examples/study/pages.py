"""Write the tables into the pages that name them, and the figures beside them, from the results alone."""

from __future__ import annotations

import re
from pathlib import Path

from figures import draw_all
from quotes import requote
from records import Results
from tables import TABLES

__all__ = ["DOCS", "fill_in", "write_pages"]

DOCS = Path(__file__).parents[2] / "docs"
# Between these two lines a page has what this program wrote: <!-- study: summary --> … <!-- end of study -->
_PLACE = re.compile(r"(<!-- study: (\w+) -->\n).*?(<!-- end of study -->)", re.DOTALL)


def fill_in(page: str, records: Results) -> str:
    """Return a page with its tables and its quoted numbers made anew."""
    return requote(_PLACE.sub(lambda place: _filled(place, records), page), records)


def write_pages(records: Results, docs: Path) -> None:
    """Fill in every page below a folder and the README beside it, and draw the figures into its ``assets``."""
    for path in (*sorted(docs.rglob("*.md")), *docs.parent.glob("README.md")):
        text = path.read_text(encoding="utf-8")
        filled = fill_in(text, records)
        if filled != text:
            path.write_text(filled, encoding="utf-8")
    draw_all(records, docs / "assets")


def _filled(place: re.Match[str], records: Results) -> str:
    lines = "\n".join(TABLES[place[2]](records)).strip()
    return f"{place[1]}\n{lines}\n\n{place[3]}"
