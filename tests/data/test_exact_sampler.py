"""The exact sampler in real processes: every sample once, and reported numbers that are the truth."""

from __future__ import annotations

import os
from collections import Counter

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from tests.distributed import run_processes
from topk_lightning.data import EmojiDataModule, ExactDistributedSampler, equal_batch_size
from topk_lightning.metrics import TopKAccuracy


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("samples", [3, 4, 5, 11, 12])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_hold_each_sample_once_and_differ_by_one_at_most(samples, processes, shuffle):
    samplers = [ExactDistributedSampler(range(samples), processes, rank, shuffle=shuffle) for rank in range(processes)]
    shares = [list(sampler) for sampler in samplers]
    assert sorted(index for share in shares for index in share) == list(range(samples))
    assert [len(sampler) for sampler in samplers] == [len(share) for share in shares]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_each_epoch_is_shuffled_anew_and_alike_on_all_processes():
    samplers = [ExactDistributedSampler(range(9), 2, rank, shuffle=True, seed=4) for rank in range(2)]
    first = [list(sampler) for sampler in samplers]
    for sampler in samplers:
        sampler.set_epoch(1)
    second = [list(sampler) for sampler in samplers]
    assert first != second
    assert sorted(first[0] + first[1]) == sorted(second[0] + second[1]) == list(range(9))


def test_fewer_samples_than_processes_is_an_error():
    sentence = "dataset must hold at least one sample for each of 3 processes, got 2 samples."
    for call in (lambda: ExactDistributedSampler(range(2), 3, 0), lambda: equal_batch_size(2, 3, 1)):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            call()
        assert str(error.value) == sentence


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_equal_batch_size_gives_all_processes_as_many_batches(processes):
    for samples in range(processes, 40):
        for wanted in range(1, 12):
            size = equal_batch_size(samples, processes, wanted)
            lengths = [len(ExactDistributedSampler(range(samples), processes, rank)) for rank in range(processes)]
            fitting = [n for n in range(1, 40) if len({-(-length // n) for length in lengths}) == 1]
            assert size == max((n for n in fitting if n <= wanted), default=fitting[0])


def gather_shares(rank, world_size, samples):
    sampler = ExactDistributedSampler(range(samples))
    batches = [batch.tolist() for batch in DataLoader(range(samples), batch_size=2, sampler=sampler)]
    gathered = [None] * world_size
    dist.all_gather_object(gathered, [index for batch in batches for index in batch])
    return gathered


def counted_once(shares, samples):
    return Counter(index for share in shares for index in share) == dict.fromkeys(range(samples), 1)


def test_three_processes_count_each_sample_exactly_once():
    assert all(counted_once(shares, 11) for shares in run_processes(gather_shares, 3, 11))


class OneHit(pl.LightningModule):
    """Names class 0 for everything, behind a batch normalisation; may call all processes together in each step."""

    def __init__(self):
        super().__init__()
        self.gathers = True
        self.norm = nn.BatchNorm1d(3)
        self.metric = TopKAccuracy(k=1)

    def step(self, batch):
        images, target = batch
        scores = self.norm(images.flatten(1)[:, :3]).mean(1, keepdim=True) * 0 + torch.eye(11)[0]
        self.metric.update(scores, target)
        self.log("top1", self.metric)
        if self.gathers:
            assert self.all_gather(torch.tensor(1.0)).sum() == self.trainer.world_size

    def training_step(self, batch):
        return self.norm(batch[0].flatten(1)[:, :3]).square().mean()

    def validation_step(self, batch):
        self.step(batch)

    def test_step(self, batch):
        self.step(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Eleven(EmojiDataModule):
    """Eleven drawings to test on, one of them of class 0."""

    def __init__(self):
        super().__init__(classes=11, image_size=16, batch_size=5)


def trained_in_two_processes(rank, world_size):
    # Lightning joins processes that were started from outside when the environment names them.
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE=str(world_size))
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=world_size,
        strategy="ddp",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    data = Eleven()
    model = OneHit()
    # Each step gathers from all processes: unequal numbers of batches would mix up or hang.
    trainer.fit(model, data)
    fitted = trainer.callback_metrics["top1"].item()
    loader = data.val_dataloader()
    batches = [len(batch[0]) for batch in loader]
    (tested,) = trainer.test(model, data, verbose=False)
    sampler_kept = type(trainer.test_dataloaders.sampler).__name__
    images = TensorDataset(torch.zeros(11, 3), torch.arange(11))
    sampler = ExactDistributedSampler(images)
    model.gathers = False  # 2 batches and 1
    (plain,) = trainer.validate(model, DataLoader(images, batch_size=5, sampler=sampler), verbose=False)
    padded = DataLoader(images, batch_size=4, sampler=DistributedSampler(images, shuffle=False))
    (repeated,) = trainer.validate(model, padded, verbose=False)
    shares = gather_shares(rank, world_size, 11)
    return fitted, tested["top1"], plain["top1"], repeated["top1"], sampler_kept, shares, batches


def test_a_trainer_of_two_processes_sees_each_sample_once_and_reports_the_truth():
    results = run_processes(trained_in_two_processes, 2)
    for fitted, tested, plain, repeated, sampler, shares, _ in results:
        truth = torch.tensor(1 / 11).item()
        assert fitted == tested == plain == truth
        assert repeated == torch.tensor(2 / 12).item()  # what the sampler that repeats makes of it
        assert sampler == "ExactDistributedSampler"
        assert counted_once(shares, 11)
    assert [batches for *_, batches in results] == [[4, 2], [4, 1]]
