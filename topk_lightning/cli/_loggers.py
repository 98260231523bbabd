"""Loggers by a word: ``fit --logger tensorboard | csv | wandb``, each in the folder of the run, none with a connection."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topk_lightning._checks import MissingPackageError, must
from topk_lightning._checks.options import check_choice
from topk_lightning.callbacks import LoggerReport

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

__all__ = ["logger_options"]

# What each needs that a plain installation lacks.
_PACKAGES = {"tensorboard": "tensorboard", "csv": "", "wandb": "wandb"}


def logger_options(name: str | None, folder: Path, callbacks: list[Any]) -> dict[str, Any]:
    """Return the trainer's option for a logger of this name, and add to its callbacks what sends the rest; None: neither."""
    if name is None:
        return {}
    callbacks.append(LoggerReport(report=False))  # it is sent once it is written, at the end
    return {"logger": _named(name, folder)}


def _named(name: str, folder: Path) -> Logger:
    """Return the logger of a name; it writes below the folder of the run, and W&B stays offline.

    Raises:
        ModuleNotFoundError: its package is not installed.
        ValueError: an unknown name.
    """
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

    package = _PACKAGES[check_choice("--logger", name, _PACKAGES)]
    if package and find_spec(package) is None:
        remedy = 'Run pip install "topk-lightning[loggers]".'
        raise MissingPackageError(must(package, f"be installed for --logger {name}", "none", remedy), name=package)
    if name == "wandb":
        folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(name=folder.name, save_dir=folder, offline=True, log_model=False)
    kind = CSVLogger if name == "csv" else TensorBoardLogger
    return kind(folder, name="", version=name)
