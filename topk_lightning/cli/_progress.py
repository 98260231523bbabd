"""The progress bar of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich
from pytorch_lightning.callbacks import RichProgressBar

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["EpochProgressBar", "shows_progress"]


class EpochProgressBar(RichProgressBar):
    """Lightning's rich bar without the numbers that the epoch table shows, counting epochs from 1 as the table does."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return nothing: the table has it."""
        return {}

    def _get_train_description(self, current_epoch: int) -> str:
        total = self.trainer.max_epochs
        return f"Epoch {current_epoch + 1}" + (f"/{total}" if total is not None and total > 0 else "")


def shows_progress() -> bool:
    """Return whether a moving bar can be seen: not in a file or a pipe."""
    console = rich.get_console()
    return console.is_terminal or console.is_jupyter
