"""Run a function in several real gloo processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_processes(function: Callable[..., Any], world_size: int, *args: Any) -> list[Any]:
    """Return what `function(rank, world_size, *args)` returned in each of `world_size` gloo processes.

    The function must be importable (defined at the top of a module); what it returns is pickled.
    """
    context = mp.get_context("spawn")
    results = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = mp.spawn(_run, (function, world_size, port, results, args), nprocs=world_size, join=False)
    # Results are taken before the processes are joined: a full queue would keep them alive.
    found: dict[int, Any] = {}

    def take() -> None:
        while not results.empty():
            rank, result = results.get()
            found[rank] = result

    try:
        while not processes.join(timeout=0.1):
            take()
    except mp.ProcessExitedException:
        # torch 2.14 aborts a process of gloo now and then, when all is done; before that no result is missing.
        take()
        if len(found) < world_size:
            raise
    take()
    return [found[rank] for rank in range(world_size)]


def _run(
    rank: int, function: Callable[..., Any], world_size: int, port: int, results: Any, args: tuple[Any, ...]
) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    try:
        results.put((rank, function(rank, world_size, *args)))
        results.close()
        results.join_thread()
        dist.barrier()
    finally:
        dist.destroy_process_group()
