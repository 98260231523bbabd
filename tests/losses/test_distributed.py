"""Two real processes train on the halves of a batch as one process does on the whole."""

from __future__ import annotations

import torch
from torch.nn.parallel import DistributedDataParallel

from tests.distributed import run_processes
from topk_lightning.losses import SmoothTopKSVMLoss, TruncatedTopKEntropyLoss

LOSSES = {"svm": SmoothTopKSVMLoss(k=3), "truncated": TruncatedTopKEntropyLoss(k=3)}


def weights_after_a_step(rank: int, world_size: int) -> dict[str, list[list[float]]]:
    """Return, for each loss, the weights of a linear network after one step on this process's share of 8 rows."""
    return {name: step(rank, world_size, loss) for name, loss in LOSSES.items()}


def step(rank: int, world_size: int, loss: torch.nn.Module) -> list[list[float]]:
    generator = torch.Generator().manual_seed(0)
    rows, target = torch.randn(8, 5, generator=generator), torch.randint(7, (8,), generator=generator)
    torch.manual_seed(0)
    layer: torch.nn.Module = torch.nn.Linear(5, 7)
    network = DistributedDataParallel(layer) if world_size > 1 else layer
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    loss(network(rows[rank::world_size]), target[rank::world_size]).backward()
    optimizer.step()
    return layer.weight.tolist()


def test_two_processes_make_the_step_of_one():
    first, second = run_processes(weights_after_a_step, 2)
    assert first == second
    alone = weights_after_a_step(0, 1)
    for name in LOSSES:
        torch.testing.assert_close(torch.tensor(first[name]), torch.tensor(alone[name]))
