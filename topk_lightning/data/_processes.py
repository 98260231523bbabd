"""How many threads read images, and which of several processes speaks."""

from __future__ import annotations

import multiprocessing
import os

import torch

__all__ = ["count_of_threads", "count_of_workers", "first_process", "is_distributed"]


def count_of_threads() -> int:
    """Return the number of processors that this process may use, 8 at most."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)


def count_of_workers(images: int) -> int:
    """Return how many processes should read so many image files: one for 256, no more than processors, 8 at most.

    None where a process starts by importing the program again, which a program must be written for.
    """
    forks = multiprocessing.get_start_method() == "fork"
    return min(count_of_threads(), images // 256) if forks else 0


def first_process() -> bool:
    """Say whether this is the process that speaks to people."""
    return not is_distributed() or torch.distributed.get_rank() == 0


def is_distributed() -> bool:
    """Say whether several processes train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
