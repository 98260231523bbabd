"""One list of named laws, run over every loss."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from tests.losses.cases import CASES, LossCase

C = 7


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> LossCase:
    return request.param


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Six rows of seven classes in float64, at a common scale of logits."""
    generator = torch.Generator().manual_seed(7)
    logits = 2 * torch.randn(6, C, dtype=torch.float64, generator=generator)
    return logits, torch.randint(C, (6,), generator=generator)


def test_equals_the_oracle(case, batch):
    logits, target = batch
    torch.testing.assert_close(
        case.make(reduction="none")(logits, target), case.expected(logits, target), atol=case.atol, rtol=case.atol
    )


def test_class_equals_function(case, batch):
    assert torch.equal(case.make()(*batch), case.function(*batch, **case.options))


def test_survives_pickle_and_deepcopy(case, batch):
    loss = case.make()
    assert torch.equal(pickle.loads(pickle.dumps(loss))(*batch), loss(*batch))
    assert torch.equal(copy.deepcopy(loss)(*batch), loss(*batch))


def test_mean_and_sum_reduce_the_rows(case, batch):
    rows = case.make(reduction="none")(*batch)
    torch.testing.assert_close(case.make(reduction="sum")(*batch), rows.sum())
    torch.testing.assert_close(case.make(reduction="mean")(*batch), rows.sum() / 6)
