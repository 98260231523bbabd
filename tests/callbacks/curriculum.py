"""All curricula in one training, and what each of its steps must compute; also run in processes of their own."""

import os
import warnings

import numpy as np
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from tests.callbacks.modules import CLASSES, loader, trainer
from topk_lightning.callbacks import CoarseToFine, KAnnealing, TemperatureAnnealing, TrainingTrace
from topk_lightning.classifier import TopKClassifier
from topk_lightning.hierarchy import coarsen_logits, coarsen_target
from topk_lightning.losses import smooth_topk_svm_loss

GROUPS = [0, 0, 1, 1, 2, 2]
BATCHES, EPOCHS = 5, 4
STEPS = BATCHES * EPOCHS
LADDER = [3, 3, 2, 1]  # by epoch


class Network(nn.Linear):
    """One layer, so that a checkpoint holds all that a step depends on."""

    num_classes = CLASSES

    def __init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__(4, CLASSES)


class Recorded(TopKClassifier):
    """Keeps what each training step used: temperature, k, logits, target, loss."""

    def __init__(self):
        loss = {"class_path": "topk_lightning.losses.SmoothTopKSVMLoss", "init_args": {"k": 3}}
        super().__init__(Network(), CLASSES, loss=loss, k=(1, 2), lr=0.1, optimizer="sgd", lr_schedule="constant")
        self.steps = []

    def forward(self, images):
        self.logits = super().forward(images)
        return self.logits

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.steps.append((self.loss.temperature, self.loss.k, self.logits.detach(), batch[1], loss.item()))
        return loss


def curricula():
    return [
        TemperatureAnnealing(start=4.0, end=1.0, schedule="linear"),
        KAnnealing(ladder=(3, 2, 1), at=(0, 0.5, 0.75)),
        CoarseToFine(GROUPS, schedule="linear", hold_fraction=0.25, k=(1, 2)),
    ]


def temperature(step):
    return 4 - 3 * step / (STEPS - 1)


def coarse_weight(step):
    progress = step / (STEPS - 1)
    return 1 - max(0, progress - 0.25) / 0.75


def expected(step, k, logits, target):
    """The loss of a step from the two formulas, by the place of the step in the whole training."""
    groups = coarsen_logits(logits, GROUPS), coarsen_target(target, GROUPS)
    t, weight = temperature(step), coarse_weight(step)
    fine = smooth_topk_svm_loss(logits, target, k, temperature=t)
    return float(weight * smooth_topk_svm_loss(*groups, min(k, 2), temperature=t) + (1 - weight) * fine)


def errors(steps, first):
    """By how much recorded steps, of which the first has the number `first`, differ from what they must be."""
    found = []
    for step, (its_temperature, k, logits, target, loss) in enumerate(steps, start=first):
        assert k == LADDER[step // BATCHES]
        found += [abs(its_temperature - temperature(step)), abs(loss - expected(step, k, logits, target))]
    return max(found)


def fit(folder, ckpt_path=None, callbacks=(), processes=1, log=False, **options):
    """Train with all curricula; return plain data that can go from process to process."""
    trace, its = TrainingTrace(), curricula()
    mid = ModelCheckpoint(folder, "{step:02}", every_n_train_steps=2, save_top_k=-1)
    ends = ModelCheckpoint(folder, "end{epoch}", save_top_k=-1)
    module = Recorded()
    run = trainer(
        *its, trace, mid, ends, *callbacks,
        max_epochs=EPOCHS, enable_checkpointing=True, devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        logger=CSVLogger(folder, name="", version="log") if log else False, log_every_n_steps=2, **options,
    )  # fmt: skip
    run.fit(module, loader(processes * BATCHES * 4), loader(8), ckpt_path=ckpt_path)
    return {
        "steps": len(module.steps),
        "error": errors(module.steps, STEPS - len(module.steps)),
        "histories": [one.history for one in its[:2]],
        "rows": trace.rows,
        "logged": {name: float(value) for name, value in run.callback_metrics.items()},
        "weight": module.network.weight.detach().float().numpy().copy(),
    }


def in_processes(rank, world_size, folder):
    """Train in one of several processes: without a stop, then from within an epoch, then from the end of one."""
    warnings.simplefilter("ignore")
    # What torchrun sets: Lightning joins the processes that there are.
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_WORLD_SIZE=str(world_size),
        GROUP_RANK="0", TORCHELASTIC_RUN_ID="test",
    )  # fmt: skip
    paths = None, f"{folder}/step=12.ckpt", f"{folder}/endepoch=1.ckpt"
    return [fit(folder if path is None else f"{folder}/again", path, processes=world_size) for path in paths]


class Kill(Callback):
    """kill −9, within the third epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 2 * BATCHES + 3:
            os.kill(os.getpid(), 9)


def same(one, other):
    return np.array_equal(one["weight"], other["weight"])
