"""A sampler that shares a data set among processes without repeating a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch.utils.data import DistributedSampler

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer

__all__ = ["ExactDistributedSampler", "equal_batch_size"]


class ExactDistributedSampler(DistributedSampler[Any]):
    """Give each process its share of the samples, each sample to exactly one process.

    :class:`torch.utils.data.DistributedSampler` repeats samples until all shares are equally long, which biases every
    metric of validation and test: with 2 processes, 11 samples and one hit, 1/11 may become 2/12. Here process r of R
    gets samples r, r + R, r + 2R, …, so shares differ by one sample at most. Lightning leaves this sampler alone
    because it is a DistributedSampler (any other sampler it would wrap in one that repeats).

    Shares that differ may have different numbers of batches; see :func:`equal_batch_size`.

    Args:
        dataset: anything with a length.
        num_replicas: number of processes R; None: as torch.distributed says.
        rank: index of this process; None: as torch.distributed says.
        shuffle: whether the order is drawn anew for each epoch (`set_epoch`).
        seed: seed of that order, the same in all processes.

    Raises:
        ValueError: fewer samples than processes.

    Examples:
        >>> [list(ExactDistributedSampler(range(5), num_replicas=2, rank=rank)) for rank in range(2)]
        [[0, 2, 4], [1, 3]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(cast(Any, dataset), num_replicas, rank, shuffle=shuffle, seed=seed)
        _check_enough_samples(len(dataset), self.num_replicas)
        self.total_size = len(dataset)
        self.num_samples = len(range(self.rank, self.total_size, self.num_replicas))

    def __iter__(self) -> Iterator[int]:
        order = range(self.total_size)
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            return iter(torch.randperm(self.total_size, generator=generator).tolist()[self.rank :: self.num_replicas])
        return iter(order[self.rank :: self.num_replicas])


def equal_batch_size(num_samples: int, num_replicas: int, batch_size: int) -> int:
    """Return the batch size nearest below `batch_size` with which all processes run equally many batches.

    A step that calls all processes together (an ``all_gather``, a value logged each step with ``sync_dist=True``)
    hangs or mixes up when one process has a batch more than another. That happens only where the longer share ends in
    a batch of one; a slightly smaller batch size avoids it. Where none below does (a batch size of 1 or 2), the nearest
    above is returned. Metrics that synchronise at the end only, as torchmetrics do, need none of this.

    Args:
        num_samples: samples of all processes together, at least `num_replicas`.
        num_replicas: number of processes.
        batch_size: the wanted batch size of each process.

    Raises:
        ValueError: fewer samples than processes.

    Examples:
        Shares of 6 and 5 samples would be 2 and 1 batches of 5; they are 2 and 2 batches of 4.

        >>> equal_batch_size(11, num_replicas=2, batch_size=5)
        4
    """
    check_integer("batch_size", batch_size)
    _check_enough_samples(num_samples, num_replicas)
    shorter = num_samples // num_replicas
    longer = shorter + (num_samples % num_replicas > 0)
    sizes: tuple[int, ...] = (*range(batch_size, 0, -1), *range(batch_size + 1, longer + 1))
    return next(size for size in sizes if -(-shorter // size) == -(-longer // size))


def _check_enough_samples(samples: int, processes: int) -> None:
    """Refuse fewer samples than processes: one of them would have nothing to do and wait for ever."""
    if samples < processes:
        raise InvalidValueError(
            must("dataset", f"hold at least one sample for each of {processes} processes", f"{samples} samples")
        )
