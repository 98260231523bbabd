"""The table in the output of a notebook: its curves, renewed in place, and the table itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from topk_lightning._repr import html_picture, html_table, html_text, without_widget_hints
from topk_lightning.drawing import png_of
from topk_lightning.epoch_table._columns import column_label
from topk_lightning.epoch_table._curves import training_curves

__all__ = ["NotebookPicture", "in_notebook", "notebook_table"]


def in_notebook() -> bool:
    """Return whether this runs in the kernel of a notebook; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookPicture:
    """A place in the output of the cell that shows it first."""

    def __init__(self) -> None:
        self._handle: Any = None
        if in_notebook():
            without_widget_hints()

    def show(self, png: bytes) -> None:
        """Show a picture, in the place of the one before."""
        display: Any = importlib.import_module("IPython.display")
        image = display.Image(png)
        if self._handle is None:
            self._handle = display.display(image, display_id=True)
        else:
            self._handle.update(image)


def notebook_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], name: str) -> str:
    """Return the table of epochs and its curves as HTML; of no epochs, the name of what makes the table."""
    if not rows:
        return html_text(name)
    cells = [[row["epoch"], *(row.get(name, "") for name in columns), row.get("note", "")] for row in rows]
    table = html_table(["epoch", *map(column_label, columns), "note"], cells)
    return table + html_picture(png_of(training_curves(rows)), "Curves of loss and accuracy")
