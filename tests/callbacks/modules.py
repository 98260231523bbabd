"""Tiny modules, data and trainers for the tests of callbacks."""

import os

import lightning.pytorch
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 6

PACKAGES = [pytorch_lightning, lightning.pytorch]


def rows(n, seed=0, classes=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(n, 4, generator=generator), torch.randint(classes, (n,), generator=generator))


def loader(n, batch_size=4, seed=0, **options):
    return DataLoader(rows(n, seed), batch_size=batch_size, **options)


def network(seed=0, classes=CLASSES):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, classes))


class PlainSteps:
    """A module as many people write it: the steps return the loss, nothing is measured."""

    def __init__(self, classes=CLASSES):
        super().__init__()
        self.network = network(classes=classes)
        self.loss = nn.CrossEntropyLoss()
        self.forwards = 0

    def forward(self, inputs):
        self.forwards += 1
        return self.network(inputs)

    def training_step(self, batch, batch_idx):
        return self.loss(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return self.loss(self(batch[0]), batch[1])

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        return self.loss(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Plain(PlainSteps, pytorch_lightning.LightningModule):
    """For the trainer of pytorch_lightning."""


class LightningPlain(PlainSteps, lightning.pytorch.LightningModule):
    """For the trainer of lightning.pytorch."""


MODULES = {pytorch_lightning: Plain, lightning.pytorch: LightningPlain}


def trainer(*callbacks, package=pytorch_lightning, **options):
    settings = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return package.Trainer(callbacks=list(callbacks), **(settings | options))


def trainer_of_process(rank, world_size, *callbacks, **options):
    """A trainer within one of the processes of `tests.distributed.run_processes`."""
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE=str(world_size))
    return trainer(*callbacks, devices=world_size, strategy="ddp", **options)


def logged(trainer):
    return {name: float(value) for name, value in trainer.callback_metrics.items()}
