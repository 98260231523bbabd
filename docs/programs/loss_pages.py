"""Hook of MkDocs: the pages of docs/losses/ enter the navigation by themselves, in the order of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INDEX = "losses/index.md"


def on_config(config: Any) -> Any:
    """Put every page of a loss behind their index."""
    docs = Path(config["docs_dir"])
    cards = [page.relative_to(docs).as_posix() for page in sorted((docs / "losses").glob("*.md"))]
    for section in config["nav"]:
        for pages in section.values():
            if isinstance(pages, list) and INDEX in pages:
                place = pages.index(INDEX)
                pages[place : place + 1] = [INDEX, *(card for card in cards if card != INDEX)]
    return config
