"""How a report was made: when, on what, with which versions."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from topk_lightning.prediction import TrainedModel

__all__ = ["facts_of_the_model", "facts_of_the_run", "stopwatch"]

_PACKAGES = ("topk-lightning", "torch", "pytorch-lightning", "torchmetrics", "torchvision", "timm")


def facts_of_the_model(model: TrainedModel) -> list[tuple[str, str]]:
    """Return headings and texts: what the network is and how it was trained, as far as it is known."""
    weights = sum(parameter.numel() for parameter in model.network.parameters())
    facts = [("Network", f"{model.kind}, {weights:,} weights")]
    if model.path is not None:
        facts.append(("Checkpoint", f"{model.path}, saved after {model.steps:,} optimizer steps"))
    trained_with = [_named(model.hyperparameters.get(name)) for name in ("loss", "optimizer")]
    if any(trained_with):
        facts.append(("Trained with", ", ".join(part for part in trained_with if part)))
    if model.adjustment is not None:
        counts = model.adjustment.class_counts.tolist()
        images = f"{min(counts):,} to {max(counts):,} training images a class"
        facts.append(("Logits adjusted", f"for {images}, strength {model.adjustment.strength:g}"))
    if (prepared := model.preprocessing) is not None:
        size = f"{prepared.image_size}×{prepared.image_size} pixels, {prepared.resize}"
        facts.append(("Images prepared", f"{size}, mean {_short(prepared.mean)}, deviation {_short(prepared.std)}"))
    return facts


def facts_of_the_run(device: torch.device, seconds: float) -> list[tuple[str, str]]:
    """Return headings and texts: when and where the test ran, and with which versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    when = datetime.now(timezone.utc)
    versions = [f"Python {platform.python_version()}", *(f"{name} {installed}" for name, installed in _versions())]
    return [
        ("Tested", f"{when.day} {when:%B %Y, %H:%M} UTC, in {seconds:.0f} s on {device.type} ({name})"),
        ("Versions", ", ".join(versions)),
    ]


def stopwatch() -> Callable[[], float]:
    """Return what tells the seconds since now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start


def _versions() -> list[tuple[str, str]]:
    installed = []
    for package in _PACKAGES:
        try:
            installed.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return installed


def _named(description: Any) -> str:
    """Return a loss or an optimizer in words: its class with the options that were given."""
    if isinstance(description, str):
        return description
    if not isinstance(description, Mapping):
        return ""
    if "unnamed" in description:
        return str(description["unnamed"])
    options = description.get("init_args") or {}
    named = ", ".join(
        f"{name}={json.dumps(value, default=str)}" for name, value in options.items() if value is not None
    )
    return f"{str(description.get('class_path', '')).rpartition('.')[2]}({named})"


def _short(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3f}" for value in values)
