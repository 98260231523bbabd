"""Warnings as a person reads them, and Lightning without the hints that say nothing about what the command line does."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["quiet_lightning", "visible_warnings"]

# Those of rank zero too: a package that is first imported later sets the level of its own logger, not of these.
_PACKAGES = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric")
_LOGGERS = (*_PACKAGES, *(f"{package}.utilities.rank_zero" for package in _PACKAGES))

# Few steps an epoch, few workers, files of an earlier run, callbacks that a test lacks, loggers and packages that are not installed.
_HINTS = (
    ".*does not have many workers",
    ".*number of training batches",
    ".*Checkpoint directory .* exists and is not empty",
    ".*callbacks used to create the checkpoint need to be provided",
    ".*treespec, LeafSpec",
    ".*The WeightAveraging state cannot be restored",
    ".*`tensorboardX` has been removed",
)


# Where the lines of this library stand.
_OURS = str(Path(__file__).parents[1]) + os.sep


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within it, Lightning says warnings and errors only, and not the warnings that are hints."""
    import pytorch_lightning  # noqa: F401  # when it is first imported, it sets the levels of its loggers

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        # Once more: Lightning has put a form of its own around that of before its import.
        with warnings.catch_warnings(), visible_warnings():
            for message in _HINTS:
                warnings.filterwarnings("ignore", message=message)
            # What Lightning's command line still uses of jsonargparse is theirs to change.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"jsonargparse|pytorch_lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def visible_warnings() -> Iterator[None]:
    """Within it, a warning that names a file or a class of a stranger sends nothing unseen to the terminal.

    Those of this library are about the user's files, not about a line of code, which is left out.
    """
    form, show = warnings.formatwarning, warnings.showwarning

    def visible(message: Any, category: type[Warning], *place: Any) -> str:
        from topk_lightning.drawing import visible_text

        ours = category.__module__.partition(".")[0] == "topk_lightning" or str(place[0]).startswith(_OURS)
        return visible_text(f"warning: {message}\n" if ours else form(message, category, *place))

    def shown(*warning: Any) -> None:
        warnings.formatwarning = visible  # type: ignore[assignment]  # again: a package that was imported meanwhile has its own
        show(*warning)

    warnings.showwarning = shown  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.formatwarning, warnings.showwarning = form, show
