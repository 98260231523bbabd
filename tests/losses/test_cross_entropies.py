"""What the cards of the temperature, truncated and grouped cross entropies state, measured."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from topk_lightning.losses import (
    GroupedTopKCrossEntropyLoss,
    TemperatureCrossEntropyLoss,
    TruncatedTopKEntropyLoss,
    grouped_topk_cross_entropy_loss,
    temperature_cross_entropy_loss,
    truncated_topk_entropy_loss,
)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return 3 * torch.randn(16, 12, generator=generator).double(), torch.randint(12, (16,), generator=generator)


def test_with_k_1_and_temperature_1_all_are_cross_entropy(batch):
    for loss in (TemperatureCrossEntropyLoss(), TruncatedTopKEntropyLoss(k=1), GroupedTopKCrossEntropyLoss(k=1)):
        torch.testing.assert_close(loss(*batch), F.cross_entropy(*batch))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_label_smoothing_is_that_of_torch(batch, smoothing):
    logits, target = batch
    torch.testing.assert_close(
        temperature_cross_entropy_loss(logits, target, temperature=2.0, label_smoothing=smoothing),
        F.cross_entropy(logits / 2, target, label_smoothing=smoothing),
    )


def test_a_class_weight_weighs_the_whole_smoothed_row_by_its_label(batch):
    logits, target = batch
    weight = torch.arange(1.0, 13.0, dtype=torch.float64)
    found = temperature_cross_entropy_loss(logits, target, weight=weight, label_smoothing=0.1)
    each = F.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(found, (weight[target] * each).sum() / weight[target].sum())
    # torch: the share of 0.1 / 12 that class c gets counts w_c times instead of w_y times.
    log_p = logits.log_softmax(1)
    own = -weight[target] * log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    theirs = (0.9 * own - 0.1 / 12 * (weight * log_p).sum(1)).sum() / weight[target].sum()
    torch.testing.assert_close(F.cross_entropy(logits, target, weight=weight, label_smoothing=0.1), theirs)
    assert abs(found - theirs) > 0.1


def test_scaling_by_t_squared_keeps_the_gradient_of_distillation_and_not_that_of_a_hard_target(batch):
    logits, target = batch

    def size(target: torch.Tensor, temperature: float) -> float:
        own = logits.clone().requires_grad_()
        loss = temperature_cross_entropy_loss(own, target, temperature=temperature, scale_loss="T2")
        return float(torch.autograd.grad(loss, own)[0].norm())

    teacher = logits.flip(0)
    soft = [size((teacher / t).softmax(1), t) for t in (1e3, 2e3)]
    assert soft[1] / soft[0] == pytest.approx(1, rel=0.01)
    assert size(target, 2e3) / size(target, 1e3) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(("scale_loss", "power"), [("none", -1), ("T", 0), ("T2", 1)])
def test_gradient_of_a_confident_mistake_grows_as_its_scaling_says(scale_loss, power):
    def slope(temperature: float) -> float:
        logits = torch.tensor([[0.0, 100.0]], dtype=torch.float64, requires_grad=True)
        loss = temperature_cross_entropy_loss(logits, torch.tensor([0]), temperature=temperature, scale_loss=scale_loss)
        return float(torch.autograd.grad(loss, logits)[0][0, 1])

    assert slope(0.5) / slope(1.0) == pytest.approx(0.5**power)


def test_grouped_cross_entropy_jumps_by_log_k_where_the_target_enters_the_top_k():
    step = 1e-9
    logits = torch.zeros(2, 4, dtype=torch.float64)
    logits[:, 0], logits[0, 2], logits[1, 2] = -20.0, step, -step
    outside = logits[1:].index_fill(1, torch.tensor([0]), 1.0)
    inside, outside = (
        grouped_topk_cross_entropy_loss(row, torch.tensor([2]), k=2).item() for row in (logits[:1], outside)
    )
    assert inside == pytest.approx(-math.log(2 / 3), abs=1e-6)
    assert outside > inside
    tied = torch.zeros(1, 10, dtype=torch.float64)
    jump = [grouped_topk_cross_entropy_loss(tied, torch.tensor([y]), k=5).item() for y in (4, 5)]
    assert jump[1] - jump[0] == pytest.approx(math.log(5))
    # The figure of the card: the target passes the fifth competitor, at 0.
    figure = torch.cat([torch.zeros(2, 16), torch.arange(1.0, 5.0).expand(2, 4)], 1).double()
    figure[0, 5], figure[1, 5] = step, -step
    values = grouped_topk_cross_entropy_loss(figure, torch.tensor([5, 5]), k=5, reduction="none")
    share = sum(math.exp(score) for score in (4, 3, 2, 1, 0))
    assert (values[1] - values[0]).item() == pytest.approx(math.log(share), abs=1e-6)
    assert math.log(share) == pytest.approx(4.45, abs=0.005)


def test_inside_the_top_k_grouped_cross_entropy_prefers_the_best_class_to_the_target():
    logits = torch.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(grouped_topk_cross_entropy_loss(logits, torch.tensor([1]), k=2), logits)
    assert slope[0, 0] < slope[0, 1] < 0


def test_truncated_entropy_does_not_feel_the_forgiven_classes(batch):
    logits, target = batch
    logits.requires_grad_()
    (slope,) = torch.autograd.grad(truncated_topk_entropy_loss(logits, target, k=4), logits)
    assert ((slope == 0).sum(1) == 3).all()


def test_small_losses_keep_their_digits_in_float32():
    # log(1 + 2 e^−30) is far below what a difference of two float32 logarithms could show.
    logits = torch.tensor([[0.0, -30.0, -30.0]])
    expected = pytest.approx(2 * math.exp(-30), rel=1e-6)
    assert truncated_topk_entropy_loss(logits, torch.tensor([0]), k=1).item() == expected
    assert grouped_topk_cross_entropy_loss(logits, torch.tensor([0]), k=1).item() == expected
