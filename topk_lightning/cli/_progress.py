"""The progress bar of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich
from pytorch_lightning.callbacks import RichProgressBar
from rich.progress import Progress

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["EpochProgressBar", "LookBar", "shows_progress"]


class EpochProgressBar(RichProgressBar):
    """Lightning's rich bar without the numbers that the epoch table shows, counting epochs from 1 as the table does."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return nothing: the table has it."""
        return {}

    def _get_train_description(self, current_epoch: int) -> str:
        total = self.trainer.max_epochs
        return f"Epoch {current_epoch + 1}" + (f"/{total}" if total is not None and total > 0 else "")


class LookBar:
    """The bar of a look at all images or their scores, which is gone when the look is over."""

    def __init__(self, title: str = "Looking at the images") -> None:
        self._title = title
        self._bar: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how many of the images were looked at."""
        if self._bar is None:
            self._bar = Progress(console=rich.get_console(), transient=True)
            self._bar.add_task(self._title, total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)
        if done == total:
            self._bar.stop()
            self._bar = None


def shows_progress() -> bool:
    """Return whether a moving bar can be seen: not in a file or a pipe."""
    console = rich.get_console()
    return console.is_terminal or console.is_jupyter
