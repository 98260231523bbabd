"""Lightning without the hints that say nothing about what the command line does."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_lightning"]

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


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within it, Lightning says warnings and errors only, and not the warnings that are hints."""
    import pytorch_lightning  # noqa: F401  # when it is first imported, it sets the levels of its loggers

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _HINTS:
                warnings.filterwarnings("ignore", message=message)
            # What Lightning's command line still uses of jsonargparse is theirs to change.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"jsonargparse|pytorch_lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
