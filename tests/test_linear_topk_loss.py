"""The loss of a linear head, some rows at a time, is the loss of all its scores; so is its gradient."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn

from tests.benchmarks.timing import peak_extra_bytes
from topk_lightning import linear_topk_loss, losses
from topk_lightning.linear_topk_loss import LinearTopKLoss

C, D, N = 50, 8, 200
COUNTS = list(range(1, C + 1))
LOSSES = {
    "cross entropy": nn.CrossEntropyLoss(),
    "cross entropy with weights": nn.CrossEntropyLoss(weight=torch.linspace(0.1, 2, C), label_smoothing=0.1),
    "temperature": losses.TemperatureCrossEntropyLoss(temperature=2.0),
    "truncated": losses.TruncatedTopKEntropyLoss(),
    "smooth SVM": losses.SmoothTopKSVMLoss(weight=torch.linspace(0.1, 2, C)),
    "soft top-k": losses.SoftTopKLoss(),
    "adjusted": losses.LogitAdjusted(losses.CalibratedTopKHingeLoss(), COUNTS),
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 64 rows, the last of 8."""
    monkeypatch.setattr(linear_topk_loss, "_SCORES", 1)


def batch(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(D, C, dtype=dtype)
    nn.init.normal_(head.weight, generator=generator)
    features = torch.randn(N, D, generator=generator).to(dtype).requires_grad_()
    return head, features, torch.randint(C, (N,), generator=generator)


def values(head, features, loss):
    """Return a value with its gradients by features, weight and bias."""
    return loss, *torch.autograd.grad(loss, (features, *head.parameters()))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient_are_those_of_all_scores_at_once(name, reduction):
    head, features, target = batch(torch.float64)
    loss = copy.deepcopy(LOSSES[name]).double()
    loss.reduction = reduction
    target[3:40:7] = -100
    found = values(head, features, LinearTopKLoss(head, loss)(features, target))
    torch.testing.assert_close(found, values(head, features, loss(head(features), target)))
    assert loss.reduction == reduction


@pytest.mark.parametrize("name", ["cross entropy", "cross entropy with weights", "smooth SVM"])
def test_distributions_over_classes(name):
    head, features, _ = batch(torch.float64)
    target = torch.rand(N, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64).square().softmax(1)
    loss = copy.deepcopy(LOSSES[name]).double()
    found = values(head, features, LinearTopKLoss(head, loss)(features, target))
    torch.testing.assert_close(found, values(head, features, loss(head(features), target)))


def test_gradients_go_on_into_the_network_and_are_scaled_by_what_follows():
    head, features, target = batch(torch.float64)
    loss = losses.SmoothTopKSVMLoss()
    found = values(head, features, 3 * LinearTopKLoss(head, loss)(features.tanh(), target))
    torch.testing.assert_close(found, values(head, features, 3 * loss(head(features.tanh()), target)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_and_autocast(dtype):
    head, features, target = batch()
    loss = losses.SmoothTopKSVMLoss()
    with torch.autocast("cpu", dtype):
        found = values(head, features, LinearTopKLoss(head, loss)(features, target))
        expected = values(head, features, loss(head(features), target))
        assert (
            LinearTopKLoss(head, loss)(features.to(dtype), target) == found[0]
        )  # as a network under autocast gives them
    assert [each.dtype for each in found] == [torch.float32] * 4
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=2e-2)
    half = copy.deepcopy(head).to(dtype)
    leaf = features.detach().to(dtype).requires_grad_()
    found = values(half, leaf, LinearTopKLoss(half, loss)(leaf, target))
    assert [each.dtype for each in found] == [torch.float32, dtype, dtype, dtype]
    torch.testing.assert_close(found, values(half, leaf, loss(half(leaf), target)), atol=2e-3, rtol=3e-2)


@pytest.mark.parametrize("frozen", ["weight", "bias", "features"])
def test_what_is_frozen_gets_no_gradient(frozen):
    head, features, target = batch()
    (features if frozen == "features" else getattr(head, frozen)).requires_grad_(False)
    LinearTopKLoss(head, nn.CrossEntropyLoss())(features, target).backward()
    gradients = {"weight": head.weight.grad, "bias": head.bias.grad, "features": features.grad}
    assert [name for name, gradient in gradients.items() if gradient is None] == [frozen]


def test_without_gradient_none_is_made():
    head, features, target = batch()
    module = LinearTopKLoss(head, nn.CrossEntropyLoss())
    with torch.no_grad():
        assert not module(features, target).requires_grad
        # Neither is it made and thrown away: the weight's gradient is as large as the head.
        held = peak_extra_bytes(lambda: module(features, target))
    head.requires_grad_(False)
    with torch.no_grad():
        assert held == peak_extra_bytes(lambda: module(features.detach(), target))
    no_bias = nn.Linear(D, C, bias=False)
    expected = nn.CrossEntropyLoss()(no_bias(features), target)
    torch.testing.assert_close(LinearTopKLoss(no_bias, nn.CrossEntropyLoss())(features, target), expected)


def test_sequences_and_no_rows():
    head, features, target = batch()
    module = LinearTopKLoss(head, losses.TruncatedTopKEntropyLoss())
    found = module(features.view(10, 20, D), target.view(10, 20))
    torch.testing.assert_close(found, module(features, target))
    assert module(features[:0], target[:0]).isnan()
    module.loss.reduction = "sum"
    assert module(features[:0], target[:0]) == 0


def test_a_module_that_holds_it_trains_the_head():
    head, features, target = batch()
    module = LinearTopKLoss(head, losses.SmoothTopKSVMLoss())
    assert {name for name, _ in module.named_parameters()} == {"head.weight", "head.bias"}
    optimizer, before = torch.optim.SGD(module.parameters(), 0.5), module(features, target).item()
    for _ in range(5):
        optimizer.zero_grad()
        module(features, target).backward()
        optimizer.step()
    assert module(features, target) < before


def test_a_second_derivative_is_refused():
    head, features, target = batch()
    value = LinearTopKLoss(head, nn.CrossEntropyLoss())(features, target)
    with pytest.raises(RuntimeError, match="differentiated again"):
        torch.autograd.grad(value, features, create_graph=True)


def test_a_second_backward_of_one_call_is_an_error_and_of_another_call_adds_up():
    head, features, target = batch(torch.float64)
    module = LinearTopKLoss(head, losses.SmoothTopKSVMLoss())
    loss = module(features, target)
    loss.backward(retain_graph=True)
    once = head.weight.grad.clone()
    with pytest.raises(RuntimeError, match=r"^The gradient of LinearTopKLoss is made once: call the loss again"):
        loss.backward()
    (2 * module(features, target)).backward()
    torch.testing.assert_close(head.weight.grad, 3 * once)


def test_memory_beyond_the_weights_gradient_is_that_of_a_few_rows():
    head, num_rows = nn.Linear(16, 20_000), 1000
    features, target = torch.randn(num_rows, 16), torch.randint(20_000, (num_rows,))
    module = LinearTopKLoss(head, losses.SmoothTopKSVMLoss())
    held = peak_extra_bytes(lambda: module(features, target).backward(), lambda: head.zero_grad(set_to_none=True))
    rows = 64 * 20_000 * 4
    assert held < head.weight.nbytes + 5 * rows  # of all rows at once it would be 16 times that of 64


def test_memory_is_a_tenth_of_that_of_all_scores():
    head = nn.Linear(4, 10_000)
    features, target = torch.randn(2000, 4), torch.randint(10_000, (2000,))
    loss = losses.SmoothTopKSVMLoss()

    def held(call):
        return peak_extra_bytes(lambda: call().backward(), lambda: head.zero_grad(set_to_none=True))

    module = LinearTopKLoss(head, loss)
    assert held(lambda: module(features, target)) < 0.1 * held(lambda: loss(head(features), target))


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: LinearTopKLoss(nn.Flatten(), nn.CrossEntropyLoss()), TypeError, "head must be an nn.Linear or a module with its weight (C, D), got Flatten("),
        (lambda: LinearTopKLoss(nn.Linear(D, C), nn.functional.cross_entropy), TypeError, "loss must be a module with a reduction, such as SmoothTopKSVMLoss(), got <function"),
        (lambda: LinearTopKLoss(nn.Linear(D, C), nn.CrossEntropyLoss(reduction="none")), ValueError, "loss.reduction must be \"mean\" or \"sum\", got 'none'."),
        (lambda: LinearTopKLoss(nn.Linear(D, C), nn.CrossEntropyLoss())(torch.zeros(4, D), torch.zeros(5).long()), ValueError, f"target must have shape (4,) to match features of shape (4, {D}), got (5,)."),
        (lambda: LinearTopKLoss(nn.Linear(D, C), nn.CrossEntropyLoss())(torch.zeros(4, D), torch.zeros(4)), ValueError, f"target must have shape (4, {C}) to match features of shape (4, {D}), got (4,)."),
        (lambda: LinearTopKLoss(nn.Linear(D, C), nn.CrossEntropyLoss())(torch.zeros(4, 3), torch.zeros(4).long()), ValueError, f"weight must have shape (C, D) to features of shape (4, 3), got ({C}, {D})."),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(make, error, sentence):
    with pytest.raises(error, match=f"^{re.escape(sentence)}"):
        make()


def test_a_loss_with_parameters_of_its_own_is_refused():
    loss = nn.CrossEntropyLoss()
    loss.scale = nn.Parameter(torch.ones(()))
    with pytest.raises(ValueError, match=r"^loss must have no parameters to be trained, got CrossEntropyLoss\.$"):
        LinearTopKLoss(nn.Linear(D, C), loss)
