"""How a report was made: when, on what, with which versions."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

import torch

__all__ = ["facts_of_the_run", "stopwatch"]

_PACKAGES = ("topk-lightning", "torch", "pytorch-lightning", "torchmetrics", "torchvision", "timm")


def facts_of_the_run(device: torch.device, seconds: float) -> list[tuple[str, str]]:
    """Return headings and texts: when and where the test ran, and with which versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    when = datetime.now(timezone.utc)
    versions = [f"Python {platform.python_version()}", *(f"{name} {found}" for name, found in _versions())]
    return [
        ("Tested", f"{when.day} {when:%B %Y, %H:%M} UTC, in {seconds:.0f} s on {device.type} ({name})"),
        ("Versions", ", ".join(versions)),
    ]


def stopwatch() -> Callable[[], float]:
    """Return what tells the seconds since now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found
