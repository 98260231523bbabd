"""The epoch table as a file, and the place of its picture in a notebook."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["notebook_display", "table_text"]


def table_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], suffix: str) -> str:
    """Return the table as csv (empty where there is no value) or, for ".json", as a list of objects (null)."""
    table = [{name: row.get(name) for name in columns} for row in rows]
    if suffix == ".json":
        # JSON has no NaN; the note says that a loss was not finite.
        finite = [{name: _finite(value) for name, value in row.items()} for row in table]
        return json.dumps(finite, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return buffer.getvalue()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def notebook_display() -> Any:
    """Return IPython.display where this runs in the kernel of a notebook, else None; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return importlib.import_module("IPython.display")
