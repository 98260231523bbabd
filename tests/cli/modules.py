"""A module and data of somebody else, for the command line: nothing of them is ours."""

import signal

import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


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
