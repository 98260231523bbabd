"""Rows that a distributed sampler repeats to give each process as many as the others."""

from __future__ import annotations

from torch.utils.data.distributed import DistributedSampler

__all__ = ["rows_seen_once"]


def rows_seen_once(sampler: object, seen: int, rows: int) -> int:
    """Return how many of the next `rows` rows of this process are not repetitions.

    ``torch.utils.data.DistributedSampler`` deals n samples to R processes in turn and fills up the last round with samples
    that were dealt before. Sample j of process r is number j·R + r of the round, so a process owns ⌈(n − r) / R⌉ of them
    and all repetitions come last. Leaving them out makes metrics of a validation set exact.

    Args:
        sampler: the sampler of the loader; anything but a DistributedSampler repeats nothing.
        seen: rows of this epoch before these.
        rows: rows of the batch.

    Examples:
        >>> # 6 rows, the last a repetition.
        >>> sampler = DistributedSampler(range(11), num_replicas=2, rank=1)
        >>> rows_seen_once(sampler, seen=4, rows=2)
        1
    """
    if not isinstance(sampler, DistributedSampler) or sampler.drop_last:
        return rows
    rows_of_process = -(-(len(sampler.dataset) - sampler.rank) // sampler.num_replicas)  # type: ignore[arg-type]
    return max(0, min(rows, rows_of_process - seen))
