"""How many threads or processes read images."""

from __future__ import annotations

import os

__all__ = ["count_of_threads"]


def count_of_threads() -> int:
    """Return the number of processors that this process may use, 8 at most."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)
