"""Where a report may be written."""

from __future__ import annotations

import os
from pathlib import Path

from topk_lightning._checks import InvalidValueError, must

__all__ = ["check_report_path"]


def check_report_path(path: str | Path) -> Path:
    """Return the path of the report, an .html file."""
    where = Path(path)
    if where.suffix.lower() not in (".html", ".htm") or os.path.isdir(where):
        raise InvalidValueError(must("out", "be the name of an .html file", repr(str(path))))
    return where
