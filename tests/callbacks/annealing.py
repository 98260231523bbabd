"""Tiny modules that write down what they see, for the tests of the annealing callbacks."""

import lightning.pytorch
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss

# Matrices this small are slower on several threads, most of all on a busy machine.
torch.set_num_threads(1)

PACKAGES = [pytorch_lightning, lightning.pytorch]
CLASSES = 6


def rows(n):
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(n, 3, generator=generator), torch.arange(n) % CLASSES)


def loader(batches, batch_size=2):
    return DataLoader(rows(batches * batch_size), batch_size=batch_size)


class Endless(IterableDataset):
    """Rows without a length."""

    def __init__(self, n):
        self.data = rows(n)

    def __iter__(self):
        return (self.data[i] for i in range(len(self.data)))


def trainer(package=pytorch_lightning, **options):
    silent = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    return package.Trainer(**quiet, **silent | options)


class Steps:
    """Writes down the watched value in each training and validation step."""

    watched = "temperature"

    def __init__(self, loss=None, lr=0.1):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Linear(3, CLASSES)
        self.loss = self.default_loss() if loss is None else loss
        self.lr = lr
        self.trained, self.validated, self.metrics = [], [], []

    def default_loss(self):
        return TemperatureCrossEntropyLoss()

    def forward(self, inputs):
        return self.network(inputs)

    def see(self):
        return float(getattr(self.loss, self.watched))

    def training_step(self, batch, batch_idx):
        self.trained.append(self.see())
        return self.loss(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.see())
        self.log("val/loss", self.loss(self(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.validated.append(self.see())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Watched(Steps, pytorch_lightning.LightningModule):
    """For pytorch_lightning."""


class WatchedTwin(Steps, lightning.pytorch.LightningModule):
    """For lightning.pytorch."""


class TensorTemperature(nn.Module):
    """A cross entropy whose temperature is a buffer or a parameter."""

    def __init__(self, kind, value=1.0):
        super().__init__()
        tensor = torch.tensor(value)
        if kind == "buffer":
            self.register_buffer("temperature", tensor)
        else:
            self.temperature = nn.Parameter(tensor, requires_grad=False)

    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits / self.temperature, target)


class KSteps(Watched):
    """A loss with k, and a validation metric that the test dictates epoch by epoch."""

    watched = "k"
    script = ()

    def default_loss(self):
        return SmoothTopKSVMLoss(k=5)

    def on_validation_epoch_end(self):
        if self.script:
            epoch = min(self.current_epoch, len(self.script) - 1)
            self.log("val/top5", self.script[epoch])


class TwoOptimizers(Watched):
    """Manual optimization: `turns(batch_idx)` names the optimizers that step in a batch."""

    automatic_optimization = False

    def __init__(self, turns):
        super().__init__()
        self.turns = turns
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.trained.append(self.see())
        for which in self.turns(batch_idx):
            optimizer = self.optimizers()[which]
            optimizer.zero_grad()
            self.manual_backward(self.loss(self(batch[0]), batch[1]))
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD([self.network.weight], 0.1), torch.optim.SGD([self.network.bias], 0.1)]
