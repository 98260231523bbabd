"""What the losses hold: at most a few times the logits within a call, and nothing after it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.benchmarks.timing import peak_extra_bytes
from tests.losses.all_cases import ALL_CASES
from topk_lightning.losses import NoisedTopKHingeLoss, SoftTopKLoss


def noised(num_classes: int, **changes: object) -> NoisedTopKHingeLoss:
    return NoisedTopKHingeLoss(k=3, **changes)


MAKERS: dict[str, Callable[..., torch.nn.Module]] = {case.name: case.make for case in ALL_CASES}
MAKERS["noised top-k hinge"] = noised


class Training:
    """Forward and backward of a loss; the gradient of the logits stays, until it is forgotten."""

    def __init__(self, loss: torch.nn.Module, logits: Tensor, target: Tensor) -> None:
        self.loss, self.logits, self.target = loss, logits.requires_grad_(), target

    def run(self) -> None:
        self.forget()
        self.loss(self.logits, self.target).backward()

    def forget(self) -> None:
        self.logits.grad = None


def tensors() -> int:
    gc.collect()
    # type(), since isinstance() would ask each object for its __class__, which some compute.
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def bytes_held_after(*calls: Callable[[], object]) -> int:
    """Return how many bytes the calls took from the allocator and did not give back."""
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for call in calls:
            call()
    return sum(event.nbytes() for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")


def training(name: str, soft: bool) -> Training:
    target = torch.randn(8, 20).softmax(1) if soft else torch.arange(8)
    return Training(MAKERS[name](20, weight=[1.0] * 20), torch.randn(8, 20), target)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "distributions"])
def test_a_call_gives_back_what_it_took(name, soft):
    its = training(name, soft)
    its.run()
    its.forget()
    assert bytes_held_after(its.run, its.run, its.forget) == 0


def test_no_tensor_is_kept_from_call_to_call():
    runs = [training(name, soft).run for name in MAKERS for soft in (False, True)]
    counts = []
    for _ in range(3):
        for run in runs:
            run()
        counts.append(tensors())
    # What other tests left behind may still go; nothing may come.
    assert counts == sorted(counts, reverse=True)


# NeuralSort of all classes holds its k rows; the loss that takes 16 candidates by default does not.
BOUNDED = [name for name in MAKERS if name != "top-k cross entropy, neuralsort, None candidates, sm"]


@pytest.mark.parametrize("name", BOUNDED)
def test_memory_is_at_most_four_times_the_logits_beyond_the_gradient(name):
    logits = torch.randn(16, 100_000, generator=torch.Generator().manual_seed(0))
    size = logits.numel() * logits.element_size()
    its = Training(MAKERS[name](100_000), logits, torch.arange(16))
    assert size <= peak_extra_bytes(its.run, its.forget) <= (1 + 4) * size


@pytest.mark.parametrize("membership", ["logistic", "laplace"])
def test_soft_top_k_of_many_rows_of_few_classes_holds_little_beyond_the_gradient(membership):
    # As each pixel of a picture has them: the few numbers of a row are more than its scores.
    its = Training(SoftTopKLoss(k=5, membership=membership), torch.randn(200_000, 20), torch.arange(200_000) % 20)
    size = its.logits.numel() * its.logits.element_size()
    assert peak_extra_bytes(its.run, its.forget) <= 2.2 * size
