"""A module and data of somebody else, for the command line: nothing of them is ours."""

import signal
import time
from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning.data import ImageFolderDataModule


class PlainModule(LightningModule):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 4)

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        self.log("test_loss", nn.functional.cross_entropy(self.layer(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class PlainData(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(8, 3), torch.arange(8) % 4), batch_size=4)

    test_dataloader = train_dataloader


class Stop(Callback):
    """Somebody presses Ctrl-C, or a scheduler ends the process, after a number of optimizer steps."""

    def __init__(self, steps: int, signum: int = int(signal.SIGINT)) -> None:
        self.steps, self.signum = steps, signum

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.steps:
            signal.raise_signal(self.signum)


class StopAgain(Stop):
    """A second signal comes while the state after the first one is written."""

    def on_save_checkpoint(self, trainer, *_):
        if trainer.global_step == self.steps:
            signal.raise_signal(self.signum)


class StopInAFailingStep(Stop):
    """Something breaks in the step in which the signal came."""

    def on_train_batch_end(self, trainer, *_):
        super().on_train_batch_end(trainer)
        if trainer.global_step == self.steps:
            raise RuntimeError("a worker was stopped too")


class StopWithoutRoom(Stop):
    """The state after the signal cannot be written."""

    def on_save_checkpoint(self, trainer, *_):
        raise OSError(28, "No space left on device")


class OwnData(PlainData):
    """Names of arguments that our data modules have too."""

    def __init__(self, image_size: int = 299, batch_size: int = 7, seed: int = 42, augment: str = "mine") -> None:
        super().__init__()


class OwnNetwork(PlainModule):
    """Names of arguments that our classifier has too."""

    def __init__(self, network: str = "mine", lr: float = 0.5, warmup_steps: int = 9) -> None:
        super().__init__()


def wait(marker: Path) -> None:
    """Say by a file that something has begun, the first time, and let it last long enough for somebody to stop it."""
    if not marker.exists():
        marker.touch()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.01)


class WaitingLook(ImageFolderDataModule):
    """Photos at which the look lasts."""

    def __init__(self, root: str, marker: str) -> None:
        super().__init__(root, image_size=16, batch_size=4, num_workers=0)
        self.marker = marker
        self.on_look = lambda *_: wait(Path(marker))


class Waiting(Callback):
    """Says in a file that a phase has begun, and lets it last long enough for somebody to stop it."""

    def __init__(self, phase: str, marker: str) -> None:
        self.phase, self.marker = phase, Path(marker)

    def _wait(self, phase: str) -> None:
        if phase == self.phase:
            wait(self.marker)

    def setup(self, trainer, pl_module, stage):
        self._wait("setup")

    def on_sanity_check_start(self, *_):
        self._wait("sanity check")

    def on_validation_batch_end(self, trainer, *_):
        if not trainer.sanity_checking:
            self._wait("validation")

    def on_test_batch_end(self, *_):
        self._wait("test")


class SlowSteps(Callback):
    """Makes a step last, so that a signal finds it."""

    def on_train_batch_end(self, *_):
        time.sleep(0.02)
