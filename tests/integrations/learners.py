"""Small real Learners for the tests of the fastai integration, and a callback that writes down what the batches see."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.utils.data import TensorDataset

with warnings.catch_warnings():
    # Older calls of fastai to torch and pandas.
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    import fastai.vision.all as vision

from topk_lightning.losses import TemperatureCrossEntropyLoss
from topk_lightning.schedules import Linear

__all__ = ["CLASSES", "Scale", "Watch", "learner", "loaders", "ramp", "scores_learner", "vision", "watched"]

CLASSES = 4


class Scale(nn.Module):
    """A model whose predictions are its inputs: what a metric counts can be written down."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, scores):
        return scores * self.scale


class Watch(vision.Callback):
    """Writes down the value of an attribute of the loss in each batch, also where MixUp stands in its place."""

    order = 100

    def __init__(self, loss, name="temperature"):
        super().__init__()
        self.loss_object, self.watched = loss, name
        self.trained, self.validated = [], []

    def after_pred(self):
        seen = self.trained if self.learn.training else self.validated
        seen.append(float(getattr(self.loss_object, self.watched)))


def loaders(train, valid, bs):
    """DataLoaders of two (inputs, target) pairs, in their order."""
    datasets = [TensorDataset(*train), TensorDataset(*valid)]
    return vision.DataLoaders(*[vision.DataLoader(one, bs=bs, num_workers=0) for one in datasets])


def scores_learner(scores, target, bs=4, **options):
    """A Learner that validates on these scores."""
    options.setdefault("loss_func", nn.CrossEntropyLoss())
    return vision.Learner(loaders((scores, target), (scores, target), bs), Scale(), **options)


def learner(batches=4, validation=2, loss_func=None, **options):
    """A Learner of so many batches of 2 rows."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(2 * n, 3, generator=generator) for n in (batches, validation)]
    targets = [torch.arange(2 * n) % CLASSES for n in (batches, validation)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(3, CLASSES)
    loss_func = TemperatureCrossEntropyLoss() if loss_func is None else loss_func
    dls = loaders((rows[0], targets[0]), (rows[1], targets[1]), 2)
    return vision.Learner(dls, model, loss_func=loss_func, **options)


def watched(*annealings, cbs=(), name="temperature", loss=None, **options):
    """A Learner with these callbacks, and what its batches see."""
    loss = TemperatureCrossEntropyLoss() if loss is None else loss
    watch = Watch(loss, name)
    learn = learner(loss_func=loss, cbs=[*annealings, *cbs, watch], **options)
    learn.remove_cb(vision.ProgressCallback)
    learn.logger = vision.noop
    return learn, watch


def ramp(steps, start=4.0, end=1.0, schedule=Linear):
    """The values of a schedule over so many batches."""
    return [schedule(start, end)(step / (steps - 1)) for step in range(steps)]
