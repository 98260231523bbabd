"""A process that dies, raises or never comes: the others end with an error within a bounded time, and keep their counts."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import time

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from topk_lightning.metrics import TopKAccuracies, TopKAccuracy

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="needs torch.distributed")

TIMEOUT = 4
FATES = ("dies", "raises", "is late")


def process(rank, port, out):
    """Rank 0 joins its counts with each of the others, in a group of two."""
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, len(FATES) + 1, is_master=rank == 0)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=len(FATES) + 1)
    wait = datetime.timedelta(seconds=TIMEOUT)
    groups = [dist.new_group([0, other], timeout=wait) for other in range(1, len(FATES) + 1)]
    if rank:
        metric = TopKAccuracy(2, process_group=groups[rank - 1])
        metric.update(torch.eye(4), torch.arange(4))
        metric.compute()  # once, all is well
        if FATES[rank - 1] == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if FATES[rank - 1] == "raises":
            metric.update(torch.eye(4), torch.tensor([0, 1, 2, 4]))
        time.sleep(60)
    for fate, group in zip(FATES, groups, strict=True):
        one, several = TopKAccuracy(2, process_group=group), TopKAccuracies((1, 2), process_group=group)
        one.update(torch.eye(4), torch.arange(4))
        several.update(torch.eye(4), torch.tensor([0, 1, 2, 2]))
        one.compute()
        one.update(torch.eye(4), torch.arange(4))
        for metric in (one, several):
            start = time.monotonic()
            try:
                out.send((fate, str(metric.compute()), 0, []))
            except RuntimeError as error:
                took = time.monotonic() - start
                counts = metric.counts if metric is one else metric["top1"].counts
                out.send((fate, type(error).__name__, took, counts.whole.tolist()))
    os._exit(0)  # without a farewell to those that are gone


def test_the_others_end_with_an_error_in_bounded_time():
    context = mp.get_context("spawn")
    inlet, outlet = context.Pipe(duplex=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=process, args=(rank, port, outlet)) for rank in range(len(FATES) + 1)]
    try:
        for started in processes:
            started.start()
        found = [inlet.recv() for _ in range(2 * len(FATES)) if inlet.poll(240)]
    finally:
        for started in processes:
            started.kill()
            started.join()
    assert [fate for fate, *_ in found] == [fate for fate in FATES for _ in range(2)]
    for _, error, took, _ in found:
        assert error in ("RuntimeError", "DistBackendError", "DistNetworkError")
        assert took < 60
    # A group waits for one that is late as long as it was told to, not longer.
    late = [took for fate, _, took, _ in found if fate == "is late"]
    assert late[0] > TIMEOUT - 1
    # What this process has counted is as it was.
    assert [counts for *_, counts in found] == [[8, 0, 0], [3, 0, 1]] * len(FATES)
