"""What the command line gives a trainer where its user names nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning.callbacks import Callback, Checkpoint, ModelCheckpoint, ProgressBar
from pytorch_lightning.plugins import CheckpointIO

from topk_lightning._checks import must
from topk_lightning.callbacks import TrainingTrace
from topk_lightning.cli._errors import UsageError
from topk_lightning.cli._keep_last import KeepLast, WholeCheckpointIO
from topk_lightning.cli._progress import EpochProgressBar, shows_progress
from topk_lightning.cli._runs import BEST, TABLE

__all__ = ["as_list", "check_processes", "count_of_processors", "fit_callbacks", "trainer_options"]

# Strategies that write a checkpoint as one file; others bring a writer of their own.
_WHOLE_FILES = ("auto", "ddp", "single_device")


def trainer_options(config: Namespace, callbacks: Sequence[Callback]) -> dict[str, Any]:
    """Return arguments of the trainer: callbacks with a bar that can be seen, checkpoints that are never half.

    Args:
        config: the options of the trainer, instantiated.
        callbacks: those it has so far.
    """
    options: dict[str, Any] = {"callbacks": [*callbacks]}
    has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    if not has_bar and config.get("enable_progress_bar") is not False and shows_progress():
        options["callbacks"].append(EpochProgressBar())
    elif not has_bar and config.get("enable_progress_bar") is None:
        options["enable_progress_bar"] = False
    plugins = as_list(config.get("plugins"))
    strategy = config.get("strategy")
    whole = isinstance(strategy, str) and strategy.startswith(_WHOLE_FILES)
    if whole and not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        options["plugins"] = [*plugins, WholeCheckpointIO()]
    if config.get("enable_model_summary") is None:
        options["enable_model_summary"] = False
    return options


def check_processes(config: Namespace) -> None:
    """Raise, before one is started, for many more processes on the CPU than it has processors.

    Args:
        config: the options of the trainer.
    """
    has_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    devices = str(config.get("devices"))
    if config.get("accelerator") not in ("cpu", *(() if has_gpu else ("auto", None))) or not devices.isdigit():
        return
    processors = count_of_processors()
    most = max(8, 4 * processors)
    if int(devices) > most:
        wanted = f"be at most {most} on {processors} processor{'s' if processors > 1 else ''}"
        remedy = f"Each is a process of its own: {processors} keep all processors busy."
        raise UsageError(must("--trainer.devices", wanted, devices, remedy))


def count_of_processors() -> int:
    """Return the number of processors that this process may use: where it is confined to some, the others are not its own."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fit_callbacks(given: Sequence[Callback], folder: Path, monitor: str | None, saves: bool) -> list[Callback]:
    """Return the callbacks of a training: those given, the epoch table, the best checkpoint and the last one.

    Args:
        given: the user's.
        folder: of the run.
        monitor: what the best epoch has least of; None: nothing is known.
        saves: whether checkpoints are written.
    """
    callbacks = [*given]
    if not any(isinstance(callback, TrainingTrace) for callback in given):
        callbacks.append(TrainingTrace(str(folder / TABLE), monitor=monitor))
    if not saves:
        return callbacks
    for callback in given:
        # In the run's folder a resumed training finds them, and what was the best so far.
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder / "checkpoints")
    if monitor is not None and not any(isinstance(callback, Checkpoint) for callback in given):
        name = BEST.removesuffix(".ckpt")
        callbacks.append(ModelCheckpoint(folder, name, monitor=monitor, enable_version_counter=False))
    return [*callbacks, KeepLast(folder)]


def as_list(value: Any) -> list[Any]:
    """Return what may be one thing, several, or None as a list."""
    return [] if value is None else [*value] if isinstance(value, list | tuple) else [value]
