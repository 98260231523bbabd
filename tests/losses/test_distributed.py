"""Two real processes train on the halves of a batch as one process does on the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.distributed import run_processes
from tests.losses.all_cases import ALL_CASES
from tests.losses.cases import LossCase
from topk_lightning.losses import NoisedTopKHingeLoss


def batch() -> tuple[Tensor, dict[str, Tensor]]:
    """Eight rows, and their targets: class indices, one of them ignored in each half, or mixtures of two classes."""
    generator = torch.Generator().manual_seed(0)
    rows, labels = torch.randn(8, 5, generator=generator), torch.randint(7, (8,), generator=generator)
    one_hot = torch.nn.functional.one_hot
    mixed = 0.25 * one_hot(labels, 7) + 0.75 * one_hot(labels.roll(1), 7)
    return rows, {"labels": labels.index_fill(0, torch.tensor([2, 5]), -100), "mixtures": mixed}


def gradient(case: LossCase, kind: str, rank: int, world_size: int) -> Tensor:
    """Return the gradient of a linear network for this process's share of the batch, averaged over the processes."""
    rows, targets = batch()
    torch.manual_seed(0)
    layer: torch.nn.Module = torch.nn.Linear(5, 7)
    network = DistributedDataParallel(layer) if world_size > 1 else layer
    case.make()(network(rows[rank::world_size]), targets[kind][rank::world_size]).backward()
    return layer.weight.grad


def noisy_values(rank: int) -> list[float]:
    """Return a noised loss of the same rows: with the seed that all processes share, and with a generator of its own."""
    rows = torch.linspace(-1, 1, 7).repeat(4, 1)
    torch.manual_seed(0)
    own = torch.Generator().manual_seed(1000 + rank)
    return [NoisedTopKHingeLoss(k=3, generator=it)(rows, torch.arange(4)).item() for it in (None, own)]


def found_in_process(rank: int, world_size: int) -> tuple[list[list[list[float]]], list[float]]:
    found = [gradient(case, kind, rank, world_size).tolist() for case in ALL_CASES for kind in ("labels", "mixtures")]
    return found, noisy_values(rank)


@pytest.fixture(scope="module")
def of_two_processes() -> list[tuple[list[list[list[float]]], list[float]]]:
    """What both processes found, from one start of them for all losses."""
    return run_processes(found_in_process, 2)


@pytest.mark.parametrize("kind", ["labels", "mixtures"])
@pytest.mark.parametrize("number", range(len(ALL_CASES)), ids=[case.name for case in ALL_CASES])
def test_two_processes_have_the_gradient_of_one(of_two_processes, number, kind):
    place = 2 * number + ["labels", "mixtures"].index(kind)
    first, second = (torch.tensor(found[place]) for found, _ in of_two_processes)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, gradient(ALL_CASES[number], kind, 0, 1))
    assert first.abs().max() > 0


def test_noise_is_the_same_in_all_processes_unless_a_generator_knows_the_rank(of_two_processes):
    (shared, own), (other_shared, other_own) = (noise for _, noise in of_two_processes)
    assert shared == other_shared
    assert own != other_own
