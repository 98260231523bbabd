"""What only the soft top-k loss promises; the laws of all losses stand in test_contract.py."""

from __future__ import annotations

import math

import pytest
import torch

from tests import oracles_relaxed as oracles
from topk_lightning.losses import SoftTopKLoss, soft_topk_loss
from topk_lightning.relaxations import clipped_line, laplace, logistic, soft_topk_mask

CURVES = ("logistic", "laplace")
INF = math.inf


@pytest.fixture(params=CURVES)
def curve(request):
    return request.param


def randn(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def rows(logits, target, k, **options):
    return soft_topk_loss(logits, torch.as_tensor(target), k, reduction="none", **options)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize(("num_classes", "k"), [(2, 1), (9, 1), (9, 4), (9, 8)])
def test_equals_bisection_at_every_scale(curve, num_classes, k, scale):
    for dtype, digits in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
        logits = (randn(num_classes, num_classes, dtype=dtype) * scale).expand(num_classes, -1)
        expected = [
            oracles.soft_topk(logits[0].tolist(), y, k=k, temperature=scale / 20, membership=curve)
            for y in range(num_classes)
        ]
        losses = rows(logits, range(num_classes), k, temperature=scale / 20, membership=curve)
        torch.testing.assert_close(
            losses.double(), torch.tensor(expected, dtype=torch.float64), rtol=digits, atol=digits / 10
        )


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e3])
def test_value_and_gradient_are_finite_at_every_temperature_and_gap(curve, temperature):
    gaps = torch.tensor([0.0, 1.0, 1e2, 1e4, 1e6])
    logits = torch.zeros(5, 8)
    logits[:, 0] = -gaps
    logits.requires_grad_()
    losses = rows(logits, [0] * 5, 2, temperature=temperature, membership=curve)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()
    # A confident mistake keeps its full gradient: −1/t at the target.
    torch.testing.assert_close(logits.grad[-1, 0] * temperature, torch.tensor(-1.0), rtol=1e-2, atol=0)


def test_gradient_pulls_the_target_and_pushes_the_threshold(curve):
    # −F′_y/(t F_y) (1_y − F′/ΣF′); the logistic has F′/F = 1 − m and F′ = m(1 − m).
    logits = randn(1, 1, 6).requires_grad_()
    rows(logits, [2], 3, temperature=0.5, membership="logistic").sum().backward()
    mask = soft_topk_mask(logits.detach(), 3, temperature=0.5)
    slope = mask * (1 - mask)
    own = torch.nn.functional.one_hot(torch.tensor([2]), 6)
    torch.testing.assert_close(logits.grad, -(1 - mask[:, 2]) / 0.5 * (own - slope / slope.sum()))


def test_loss_is_minus_log_of_the_mask(curve):
    logits, target = randn(2, 5, 8), torch.tensor([0, 1, 2, 3, 4])
    mask = soft_topk_mask(logits, 3, temperature=0.4, membership=curve)
    expected = -mask.gather(1, target.unsqueeze(1)).squeeze(1).log()
    torch.testing.assert_close(rows(logits, target, 3, temperature=0.4, membership=curve), expected)


def test_times_temperature_goes_to_the_distance_from_the_middle_of_the_boundary(curve):
    logits = torch.tensor([[5.0, 3.0, 1.0, 0.0]]).double().expand(4, 4)
    losses = 1e-4 * rows(logits, range(4), 2, temperature=1e-4, membership=curve)
    expected = [max(0.0, (3 + 1) / 2 - score) for score in (5.0, 3.0, 1.0, 0.0)]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-3)


def test_all_equal_logits_cost_log_c_over_k(curve):
    losses = rows(torch.full((1, 10), 3.0), [7], 4, membership=curve)
    torch.testing.assert_close(losses, torch.tensor([math.log(10 / 4)]))


def test_two_equal_logits_at_the_boundary_cost_log_2(curve):
    losses = rows(torch.tensor([[90.0, 50.0, 50.0, 0.0]]), [2], 2, membership=curve)
    torch.testing.assert_close(losses, torch.tensor([math.log(2)]))


def test_a_shift_of_1e4_changes_nothing(curve):
    logits = (randn(3, 6, 20, dtype=torch.float32) * 2**8).round() / 2**8
    target = torch.arange(6)
    assert torch.equal(rows(logits + 1e4, target, 5, membership=curve), rows(logits, target, 5, membership=curve))


@pytest.mark.parametrize("k", [1, 5, 99_999])
def test_100000_classes(curve, k):
    logits = randn(4, 2, 100_000, dtype=torch.float32).requires_grad_()
    loss = rows(logits, [0, 99_999], k, membership=curve)
    loss.sum().backward()
    assert loss.isfinite().all()
    torch.testing.assert_close(logits.grad.sum(1), torch.zeros(2), rtol=0, atol=1e-4)


def test_k_equal_to_c_costs_nothing(curve):
    logits = randn(5, 3, 4).requires_grad_()
    loss = rows(logits, [0, 1, 2], 4, membership=curve)
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros(3).double())
    assert torch.equal(logits.grad, torch.zeros(3, 4).double())


def test_at_most_k_unmasked_classes_cost_nothing(curve):
    logits = torch.tensor([[1.0, -INF, -3.0, -INF]], requires_grad=True)
    loss = rows(logits, [2], 2, membership=curve)
    loss.sum().backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(1, 4))
    # Two competitors fill two places, so a masked target gets none of them; of three places one is left.
    assert rows(logits, [1], 2, membership=curve).item() == INF
    assert rows(logits, [1], 3, membership=curve).item() == 0


def test_a_masked_target_costs_infinity_and_keeps_a_finite_gradient(curve):
    logits = torch.tensor([[1.0, -INF, 2.0, 0.0], [1.0, -INF, 2.0, -INF]], requires_grad=True)
    loss = rows(logits, [1, 1], 2, membership=curve)
    loss[0].backward()
    assert loss.tolist() == [INF, INF]
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1] < 0


def test_a_masked_target_against_exactly_k_has_the_gradient_that_it_had_just_before(curve):
    # Half of −1/t lifts the target; the two that hold the places give way by the shares of e^(−s/t).
    logits = torch.tensor([[1.0, -INF, 2.0, -INF]], requires_grad=True)
    rows(logits, [1], 2, temperature=0.5, membership=curve).backward()
    first = math.exp(-1 / 0.5) / (math.exp(-1 / 0.5) + math.exp(-2 / 0.5))
    torch.testing.assert_close(logits.grad, torch.tensor([[first, -1.0, 1 - first, 0.0]]))
    before = torch.tensor([[1.0, -60.0, 2.0, -INF]], requires_grad=True)
    rows(before, [1], 2, temperature=0.5, membership=curve).backward()
    torch.testing.assert_close(before.grad, logits.grad)


def test_nan_logits_show(curve):
    assert rows(torch.tensor([[0.0, math.nan, 1.0, 2.0]]), [0], 2, membership=curve).isnan().all()


def test_curves_are_given_by_object_or_by_name():
    logits, target = randn(6, 3, 5), torch.tensor([0, 1, 2])
    for curve in (logistic, laplace):
        assert SoftTopKLoss(2, membership=curve)(logits, target) == SoftTopKLoss(2, membership=curve.name)(
            logits, target
        )


def test_temperature_and_k_may_be_assigned_and_are_checked_when_used():
    loss = SoftTopKLoss(2)
    logits, target = randn(7, 3, 5), torch.tensor([0, 1, 2])
    loss.temperature, loss.k = 0.1, 3
    assert loss(logits, target) == soft_topk_loss(logits, target, 3, temperature=0.1)
    loss.temperature = -1.0
    with pytest.raises(ValueError, match=r"^temperature must be a finite number above 0, got -1\.0\.$"):
        loss(logits, target)
    loss.temperature, loss.k = 1.0, 6
    with pytest.raises(ValueError, match=r"^k must be at most the number of classes \(5\), got 6\. Use a smaller k\.$"):
        loss(logits, target)


@pytest.mark.parametrize("membership", [clipped_line, "clipped_line", "normal"])
def test_a_curve_without_finite_logarithm_is_refused(membership):
    with pytest.raises(ValueError, match=r"^membership must be one of logistic, laplace, got ") as error:
        SoftTopKLoss(membership=membership)
    assert str(error.value) == f"membership must be one of logistic, laplace, got {membership!r}."


def test_the_worst_float32_error_against_bisection_is_a_few_roundings():
    worst = 0.0
    for seed, (spread, k) in enumerate([(0.3, 1), (1.0, 5), (5.0, 5), (30.0, 20)]):
        logits = randn(seed, 80, dtype=torch.float32) * spread
        loss = rows(logits.unsqueeze(0), [7], k).item()
        exact = oracles.soft_topk(logits.tolist(), 7, k=k, temperature=1.0, membership="logistic")
        worst = max(worst, abs(loss - exact) / max(exact, 1.0))
    assert worst < 4 * torch.finfo(torch.float32).eps
