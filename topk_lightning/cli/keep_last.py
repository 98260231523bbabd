"""A callback that keeps the state of a training that Ctrl-C ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from topk_lightning._files import replacing
from topk_lightning.callbacks._base import Callback

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["KeepLast"]


class KeepLast(Callback):
    """Write ``last.ckpt`` beside the trainer's checkpoints when a training is interrupted.

    It replaces the ``last.ckpt`` of the last finished epoch by the state of this very moment. With several processes
    that one stays: they are interrupted at different places, and saving is something they have to do together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.interrupted = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save after a Ctrl-C in training."""
        self.interrupted = isinstance(exception, KeyboardInterrupt)
        started = trainer.state.fn == "fit" and not trainer.sanity_checking and trainer.global_step > 0
        path = self.path(trainer)
        if self.interrupted and started and path is not None and trainer.world_size == 1:
            # In one move: a second Ctrl-C or a full disk leaves the checkpoint of the last epoch as it is.
            with replacing(path) as part:
                trainer.save_checkpoint(part)

    @staticmethod
    def path(trainer: Trainer) -> Path | None:
        """Return where ``last.ckpt`` stands; None where the trainer keeps no checkpoints."""
        folder = getattr(trainer.checkpoint_callback, "dirpath", None)
        return None if folder is None else Path(folder) / "last.ckpt"
