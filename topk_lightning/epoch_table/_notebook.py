"""A picture in the output of a notebook, renewed in place."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["NotebookPicture", "in_notebook"]


def in_notebook() -> bool:
    """Return whether this runs in the kernel of a notebook; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookPicture:
    """A place in the output of the cell that shows it first."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, png: bytes) -> None:
        """Show a picture, in the place of the one before."""
        display: Any = importlib.import_module("IPython.display")
        image = display.Image(png)
        if self._handle is None:
            self._handle = display.display(image, display_id=True)
        else:
            self._handle.update(image)
