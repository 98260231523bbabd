"""The losses on other devices and in other dtypes: what they hold moves with them, and no value is read on the way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.losses.all_cases import ALL_CASES
from tests.losses.cases import LossCase
from topk_lightning.losses import NoisedTopKHingeLoss
from topk_lightning.losses._base import ClassificationLoss

C = 7
WEIGHT = [0.5, 1.0, 2.0, 0.25, 4.0, 1.5, 3.0]  # exact in half precision


@pytest.fixture(params=ALL_CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> LossCase:
    return request.param


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(6, C, generator=generator), torch.randint(C, (6,), generator=generator)


def noised() -> NoisedTopKHingeLoss:
    return NoisedTopKHingeLoss(k=3, margins=[1.0] * C, weight=WEIGHT)


def test_buffers_follow_the_module_to_a_device_and_a_dtype(case):
    loss = case.make(weight=WEIGHT)
    assert dict(loss.named_buffers())["weight"].tolist() == WEIGHT
    for target, attribute in ((torch.float64, "dtype"), (torch.float16, "dtype"), (torch.device("meta"), "device")):
        assert getattr(loss.to(target).weight, attribute) == target


def test_margins_follow_the_module():
    loss = noised()
    assert loss.to(torch.float64).margins.dtype == torch.float64
    assert loss.to("meta").margins.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_of_another_dtype_computes_the_same(case, dtype):
    logits, target = batch()
    expected = case.make(weight=WEIGHT)(logits, target)
    found = case.make(weight=WEIGHT).to(dtype)(logits, target)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def assert_runs_without_values(loss: ClassificationLoss) -> None:
    """A tensor on "meta" has no values: whatever asks for one raises."""
    for reduction in ("mean", "none"):
        loss.reduction = reduction
        logits = torch.empty(6, C, device="meta", requires_grad=True)
        found = loss.to("meta")(logits, torch.empty(6, dtype=torch.long, device="meta"))
        found.sum().backward()
        assert found.shape == (() if reduction == "mean" else (6,))
        assert (found.dtype, found.device.type, logits.grad.shape) == (torch.float32, "meta", (6, C))


def test_nothing_is_read_where_reading_would_make_the_device_wait(case):
    assert_runs_without_values(case.make(weight=WEIGHT))


def test_noise_and_margins_read_nothing_either():
    assert_runs_without_values(noised())


def test_the_weights_of_another_device_are_named(case):
    with pytest.raises(
        ValueError, match=r"^weight must be on the device of the logits \(meta\), got cpu\. Move the loss "
    ):
        case.make(weight=WEIGHT)(torch.empty(6, C, device="meta"), torch.empty(6, dtype=torch.long, device="meta"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_what_the_cpu_computes(case):
    logits, target = batch()
    soft = torch.nn.functional.one_hot(target, C).float().lerp(torch.full((6, C), 1 / C), 0.25)
    loss = case.make(weight=WEIGHT)
    for labels in (target, soft):
        leaf = logits.clone().requires_grad_()
        loss.cpu()(leaf, labels).backward()
        moved = logits.cuda().requires_grad_()
        value = loss.cuda()(moved, labels.cuda())
        value.backward()
        torch.testing.assert_close(value.cpu(), loss.cpu()(logits, labels), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(moved.grad.cpu(), leaf.grad, atol=1e-5, rtol=1e-5)
