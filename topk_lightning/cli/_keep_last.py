"""The last state of a training, after every epoch and when it is stopped, whatever other callbacks there are."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._files import check_archive, replacing
from topk_lightning.cli._runs import INTERRUPTED, LAST
from topk_lightning.cli._stops import STOPS

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["KeepLast", "WholeCheckpointIO"]


_CHECKPOINT = "be a checkpoint that a training saved"


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's writer and reader of checkpoints: a file under the final name is a whole one, and a damaged one is told."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside and replace."""
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                super().save_checkpoint(checkpoint, part, storage_options)
        except OSError as error:
            remedy = "What was saved before is whole."
            raise InvalidValueError(
                must(str(path), "be a file that can be written", error.strerror or str(error), remedy)
            ) from error

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Check the checksums of a file that lies here, and read it."""
        if os.path.isfile(path):
            check_archive(path, "ckpt_path", _CHECKPOINT)
        checkpoint = super().load_checkpoint(path, *args, **options)
        if "pytorch-lightning_version" not in checkpoint:
            raise InvalidValueError(must("ckpt_path", _CHECKPOINT, f"{str(path)!r}, which holds something else"))
        return checkpoint


class KeepLast(Checkpoint):
    """Write ``last.ckpt`` after each epoch, and ``interrupted.ckpt`` when the training is stopped within one.

    Lightning's own ``last.ckpt`` is the last *best* one where a checkpoint is monitored. A stop waits for the end of the
    step; its state replaces ``last.ckpt`` only where the training's data loader can go on from there, since otherwise the
    epoch's images would be seen from the first one again. With several processes ``last.ckpt`` of the last epoch stays.

    Args:
        folder: where the files are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: The checkpoint of the step in which the training was stopped; None: no step was lost.
        self.kept: Path | None = None
        #: Why that checkpoint could not be written; empty: it was, or none was to be.
        self.not_kept = ""
        self._saved_step = 0
        self._random: dict[str, Any] = {}

    @property
    def last(self) -> Path:
        """The checkpoint of the last finished epoch."""
        return self.folder / LAST

    def state_dict(self) -> dict[str, Any]:
        """Return where the random numbers of this process stand, as plain data and tensors."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"torch": torch.get_rng_state(), "cuda": cuda, "python": random.getstate()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the training go on with the random numbers of a checkpoint."""
        self._random = state_dict

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let the best score so far be known also where the folder of the run was moved since."""
        for callback in trainer.checkpoint_callbacks:
            state, folder = checkpoint["callbacks"].get(callback.state_key), getattr(callback, "dirpath", None)
            if isinstance(state, dict) and folder:
                _move(state, str(folder))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the states of a training before, which a new one in its folder does not go on with."""
        STOPS.watch(getattr(trainer.strategy.launcher, "procs", []))
        for name in (LAST, INTERRUPTED):
            if trainer.ckpt_path is None and trainer.is_global_zero:
                (self.folder / name).unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from the step and the random numbers of the checkpoint, where there is one."""
        self._saved_step = trainer.global_step
        if self._random:
            torch.set_rng_state(self._random["torch"])
            random.setstate(self._random["python"])
            if len(self._random["cuda"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(self._random["cuda"])
            self._random = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop here, if that was asked for in the step before; let the step that begins come to its end."""
        STOPS.install()  # Lightning puts its own handlers there, which wait for each other's processes
        STOPS.check()
        STOPS.hold()

    def on_train_batch_end(self, *_: Any) -> None:
        """The step is whole."""
        STOPS.release()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here, if that was asked for in the last step of the epoch."""
        STOPS.install()
        STOPS.check()

    on_sanity_check_start = on_test_start = on_train_epoch_start = on_validation_start

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the finished epoch."""
        STOPS.hold()
        self.folder.mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(self.last)
        self._saved_step = trainer.global_step
        (self.folder / INTERRUPTED).unlink(missing_ok=True)
        STOPS.check()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save after a stop within an epoch."""
        stopped = (
            isinstance(exception, KeyboardInterrupt) or STOPS.signum is not None
        )  # a stop may wait as a step fails
        within = trainer.state.fn == "fit" and trainer.global_step > self._saved_step
        if stopped and within and trainer.world_size == 1:
            goes_on = hasattr(trainer.train_dataloader, "state_dict")
            path = self.folder / (LAST if goes_on else INTERRUPTED)
            try:
                with STOPS.finish():
                    trainer.save_checkpoint(path)
                self.kept = path
            except Exception as error:
                self.not_kept = (
                    " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
                )
        STOPS.release()


def _move(state: dict[str, Any], folder: str) -> None:
    """Change the paths of a ModelCheckpoint's state to its folder of now, where its best checkpoint lies there.

    Lightning forgets scores that it has of files in another folder; the next epoch, however bad, would then be the best.
    """
    before, best = state.get("dirpath"), str(state.get("best_model_path") or "")

    def here(path: str) -> str:
        return os.path.join(folder, os.path.relpath(path, before)) if path else path

    if before and before != folder and best and os.path.isfile(here(best)):
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = here(str(state.get(name) or ""))
        state["best_k_models"] = {here(path): score for path, score in state.get("best_k_models", {}).items()}
        state["dirpath"] = folder
