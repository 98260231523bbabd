"""The smooth top-k SVM loss against two oracles, in the cases in which such losses fail."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tests import oracles
from topk_lightning.losses import SmoothTopKSVMLoss, smooth_topk_svm_loss
from topk_lightning.losses._symmetric import gradient, polynomials

INF = math.inf


def value_and_gradient(
    logits: torch.Tensor, target: torch.Tensor, **options: float
) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = logits.clone().requires_grad_()
    loss = smooth_topk_svm_loss(leaf, target, units="published", reduction="none", **options)
    return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]


def random_rows(c: int, scale: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(2, c, generator=generator), torch.randint(c, (2,), generator=generator)


def test_the_two_oracles_agree():
    logits, target = random_rows(8)
    for k in (1, 2, 3, 5, 7):
        for scores, y in zip(logits.tolist(), target.tolist(), strict=True):
            subsets = oracles.smooth_topk_svm(scores, y, k=k, temperature=0.3, units="published")
            decimals, _ = oracles.smooth_topk_svm_in_decimals(scores, y, k=k, temperature=0.3)
            assert subsets == pytest.approx(decimals, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 3e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize("temperature", [1e-3, 0.1, 1.0, 1e3])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 30.0, 1e6])
@pytest.mark.parametrize(("c", "k"), [(2, 1), (7, 3), (7, 6), (40, 5), (40, 10)])
def test_value_and_gradient_have_the_digits_of_their_dtype(dtype, tolerance, temperature, scale, c, k):
    logits, target = random_rows(c, scale)
    logits = logits.to(dtype)
    found, slope = value_and_gradient(logits, target, k=k, temperature=temperature)
    for i, (scores, y) in enumerate(zip(logits.tolist(), target.tolist(), strict=True)):
        expected, gradient = oracles.smooth_topk_svm_in_decimals(scores, y, k=k, temperature=temperature)
        assert found[i].item() == pytest.approx(expected, rel=tolerance, abs=tolerance)
        torch.testing.assert_close(
            slope[i].double(), torch.tensor(gradient, dtype=torch.float64), atol=tolerance, rtol=tolerance
        )


def test_a_rest_of_a_thousand_classes():
    logits, target = random_rows(1000, 3.0)
    found, slope = value_and_gradient(logits.double(), target, k=5)
    classes = logits[0].sort(descending=True).indices[[0, 3, 11, 12, 40, 999]].tolist()
    expected, gradient = oracles.smooth_topk_svm_in_decimals(
        logits[0].double().tolist(), int(target[0]), k=5, classes=classes
    )
    assert found[0].item() == pytest.approx(expected, rel=1e-13)
    assert slope[0, classes].tolist() == pytest.approx(gradient, rel=1e-9, abs=1e-15)
    # Shuffling the classes moves scores between the groups that the search looks at.
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(1))
    renamed = (order == target.unsqueeze(1)).nonzero()[:, 1]
    again, turned = value_and_gradient(logits.double()[:, order], renamed, k=5)
    torch.testing.assert_close(found, again, atol=1e-13, rtol=1e-13)
    torch.testing.assert_close(slope[:, order], turned, atol=1e-14, rtol=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize(("k", "c"), [(6, 400), (50, 300), (100, 400)])
def test_a_large_k_counts_also_those_of_the_rest_whose_powers_underflow(dtype, tolerance, k, c):
    # In units of k · t the classes spread over −0.5 … 0.5 and, every third, far below.
    scores = torch.linspace(-0.5, 0.5, c, dtype=torch.float64)
    scores[::3] -= 3.0
    scores = (k * scores).to(dtype)
    found, slope = value_and_gradient(scores.unsqueeze(0), torch.tensor([c // 2]), k=k)
    classes = [0, 1, c // 4, c // 2, c - 2, c - 1]
    expected, gradient = oracles.smooth_topk_svm_in_decimals(scores.tolist(), c // 2, k=k, classes=classes)
    assert found.item() == pytest.approx(expected, rel=tolerance)
    assert slope[0, classes].tolist() == pytest.approx(gradient, rel=tolerance)


@pytest.mark.parametrize("k", [1, 5, 20, 100])
@pytest.mark.parametrize("c", [1000, 100_000])
def test_equal_scores_of_many_classes(c, k):
    # E_k / E_(k−1) of n equal numbers x is x (n − k + 1) / k.
    logits = torch.full((1, c), 2.5, dtype=torch.float64)
    found, slope = value_and_gradient(logits, torch.tensor([c // 2]), k=k, temperature=0.5, margin=1.0)
    odds = math.exp(1.0 / 0.5) * (c - 1 - k + 1) / k
    assert found.item() == pytest.approx(0.5 * math.log1p(odds), rel=1e-12)
    share = odds / (1 + odds) / k
    expected = torch.full((1, c), share / (c - 1), dtype=torch.float64)
    expected[0, c // 2] = -share
    torch.testing.assert_close(slope, expected, atol=1e-15, rtol=1e-9)


def test_every_logit_moved_by_ten_thousand_changes_only_the_rounding_of_the_input():
    logits, target = random_rows(30)
    moved = logits + 1e4
    found, slope = value_and_gradient(moved, target, k=5)
    expected, wanted = value_and_gradient(moved.double() - 1e4, target, k=5)
    torch.testing.assert_close(found.double(), expected, atol=2e-6, rtol=2e-6)
    torch.testing.assert_close(slope.double(), wanted, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_units_of_the_logits_are_k_times_the_published_form_at_t_and_a_divided_by_k(k):
    logits, target = random_rows(20, 2.0)
    found = smooth_topk_svm_loss(logits.double(), target, k, temperature=0.7, margin=0.4)
    published = smooth_topk_svm_loss(logits.double(), target, k, temperature=0.7 / k, margin=0.4 / k, units="published")
    torch.testing.assert_close(found, k * published)


def test_only_the_published_units_hold_k():
    assert not SmoothTopKSVMLoss().units_hold_k
    assert SmoothTopKSVMLoss(units="published").units_hold_k


def test_k_1_without_margin_is_cross_entropy():
    logits, target = random_rows(50, 3.0)
    logits = logits.double()
    torch.testing.assert_close(
        smooth_topk_svm_loss(logits, target, k=1, margin=0.0), F.cross_entropy(logits, target), atol=1e-14, rtol=1e-14
    )


def test_a_masked_competitor_is_absent_at_every_number_of_masks():
    logits, target = random_rows(12)
    logits[:, 0], target[:] = 0.5, 0
    for masked in range(1, 9):
        hidden = logits.clone()
        hidden[:, -masked:] = -INF
        found, slope = value_and_gradient(hidden, target, k=3)
        expected, wanted = value_and_gradient(logits[:, :-masked], target, k=3)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(slope[:, :-masked], wanted)
        assert torch.equal(slope[:, -masked:], torch.zeros(2, masked))


def test_gradient_of_a_row_sums_to_zero_and_pushes_only_the_target_up():
    logits, target = random_rows(3000, 4.0)
    _, slope = value_and_gradient(logits, target, k=5)
    assert slope.sum(1).abs().max() < 1e-6
    assert (slope.scatter(1, target.unsqueeze(1), 0) >= 0).all()
    assert (slope.gather(1, target.unsqueeze(1)) < 0).all()


def test_polynomials_of_two_leaders_and_one_other():
    # x = 4, 2 and 1: E_1 = 7 and E_2 = 14, in units of the leaders in their slots 14 / (4 · 2) and 7 / 4.
    z = torch.tensor([[4.0], [2.0]], dtype=torch.float64).log()
    rest = torch.tensor([[1 / 2], [1 / 4]], dtype=torch.float64)
    quotient, p = polynomials(z, rest)
    torch.testing.assert_close(p.total, torch.tensor([[14 / 8], [7 / 4]], dtype=torch.float64))
    torch.testing.assert_close(quotient, torch.tensor([14 / 7], dtype=torch.float64).log())


@pytest.mark.parametrize("k", [5, 7, 8])
def test_float32_small_numbers_do_not_overflow(k):
    # As on devices without float64: a million equal classes, of which none leads.
    leaders, power_sums = torch.zeros(2 * k - 2, 1), torch.full((k, 1), 1e6)
    quotient, p = polynomials(leaders, power_sums)
    expected, _ = polynomials(leaders.double(), power_sums.double())
    torch.testing.assert_close(quotient.double(), expected, atol=1e-5, rtol=1e-6)
    assert all(part.isfinite().all() for part in gradient(p, torch.full((1,), 0.5)))


class Steps(TorchDispatchMode):
    """Notes how often each operation runs, and those that read numbers of the small tables out of order."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k, self.count, self.out_of_order = k, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.count += not function.is_view
        if function._schema.name == "aten::addcmul" and args[0].shape[0] in (self.k, self.k - 1):
            self.out_of_order += not all(each.is_contiguous() for each in args)
        return result


def test_each_leader_costs_two_operations_on_numbers_in_order():
    counts = []
    for k in (4, 5, 9, 10):
        logits = torch.randn(3, 200).requires_grad_()
        with Steps(k) as steps:
            smooth_topk_svm_loss(logits, torch.arange(3), k=k).backward()
        assert steps.out_of_order == 0
        counts.append(steps.count)
    # One k more: two leaders, and one each of power sums (a product and its sum), Horner's scheme and, from 9 on, Newton.
    assert counts[1] - counts[0] <= 2 * 2 + 3
    assert counts[3] - counts[2] <= 2 * 2 + 3 + 6
    assert counts[1] <= 118
