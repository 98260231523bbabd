"""Adjustment for classes of unequal frequency: in a loss, in a wrapper of any loss, and after training."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

from topk_lightning.losses import (
    LogitAdjusted,
    LogitAdjustedCrossEntropyLoss,
    SmoothTopKSVMLoss,
    TemperatureCrossEntropyLoss,
    adjust_logits,
)
from topk_lightning.losses.logit_adjustment import fill_class_counts

COUNTS = [60, 30, 9, 1]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(8, 4, generator=generator), torch.randint(4, (8,), generator=generator)


def test_without_strength_it_is_cross_entropy(batch):
    torch.testing.assert_close(LogitAdjustedCrossEntropyLoss(COUNTS, strength=0.0)(*batch), F.cross_entropy(*batch))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_wrapper_of_cross_entropy_is_the_loss(batch, strength):
    expected = LogitAdjustedCrossEntropyLoss(COUNTS, strength)(*batch)
    for loss in (torch.nn.CrossEntropyLoss(), TemperatureCrossEntropyLoss()):
        torch.testing.assert_close(LogitAdjusted(loss, COUNTS, strength)(*batch), expected)


def test_the_wrapper_adds_the_log_frequency_before_any_loss_and_for_any_shape(batch):
    logits, target = batch
    moved = logits + (torch.tensor(COUNTS) / 100).log()
    torch.testing.assert_close(
        LogitAdjusted(SmoothTopKSVMLoss(k=2), COUNTS)(logits, target), SmoothTopKSVMLoss(k=2)(moved, target)
    )
    one = LogitAdjusted(SmoothTopKSVMLoss(k=2), COUNTS)(logits[0], target[0])
    torch.testing.assert_close(one, SmoothTopKSVMLoss(k=2)(moved[0], target[0]))
    grid = LogitAdjusted(SmoothTopKSVMLoss(k=2, class_dim=-1), COUNTS, class_dim=-1)
    torch.testing.assert_close(
        grid(logits.reshape(2, 4, 4), target.reshape(2, 4)), SmoothTopKSVMLoss(k=2)(moved, target)
    )


def test_the_wrapper_has_the_options_of_the_loss_that_its_mean_depends_on():
    loss = LogitAdjusted(SmoothTopKSVMLoss(weight=[1.0] * 4, ignore_index=9), COUNTS)
    assert (loss.ignore_index, loss.reduction) == (9, "mean")
    assert torch.equal(loss.weight, torch.ones(4))
    loss.reduction = "none"
    assert loss(torch.zeros(3, 4), torch.arange(3)).shape == (3,)


def test_scores_at_the_optimum_are_those_of_equally_frequent_classes():
    # One feature value with 60, 30, 9, 1 images: cross entropy learns the frequencies, the adjusted loss none of them.
    target = torch.repeat_interleave(torch.arange(4), torch.tensor(COUNTS))
    adjusted = torch.zeros(4, requires_grad=True)
    loss = LogitAdjustedCrossEntropyLoss(COUNTS)(adjusted.expand(100, 4), target)
    torch.testing.assert_close(torch.autograd.grad(loss, adjusted)[0], torch.zeros(4), atol=1e-6, rtol=0)
    plain = (torch.tensor(COUNTS) / 100).log()
    torch.testing.assert_close(adjust_logits(plain.unsqueeze(0), COUNTS), torch.zeros(1, 4), atol=1e-6, rtol=0)


def test_adjusting_after_training_undoes_what_the_wrapper_adds(batch):
    logits, _ = batch
    seen = {}
    loss = LogitAdjusted(torch.nn.CrossEntropyLoss(), COUNTS, 0.7)
    loss.loss.register_forward_pre_hook(lambda module, inputs: seen.update(logits=inputs[0]))
    loss(*batch)
    torch.testing.assert_close(adjust_logits(seen["logits"], COUNTS, 0.7), logits)


@pytest.mark.parametrize("make", [LogitAdjustedCrossEntropyLoss, lambda: LogitAdjusted(SmoothTopKSVMLoss())])
def test_counts_may_come_later_and_are_restored_from_a_checkpoint(batch, make):
    loss, restored = make(), make()
    sentence = (
        "class_counts must be given, got None. TopKClassifier takes them from a data module, such as "
        "ImageFolderDataModule."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        loss(*batch)
    fill_class_counts(loss, COUNTS)
    fill_class_counts(loss, [1, 1, 1, 1])  # they are there
    restored.load_state_dict(loss.state_dict())
    assert restored(*batch) == loss(*batch)


def test_other_losses_ask_for_no_counts():
    for loss in (F.cross_entropy, SmoothTopKSVMLoss()):
        fill_class_counts(loss, COUNTS)
        assert not hasattr(loss, "class_counts")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: LogitAdjustedCrossEntropyLoss([3, 0]), "class_counts must be at least 1 for each class, got 0. Leave out a class without training images, or count it as 1."),
        (lambda: adjust_logits(torch.zeros(1, 3), [3, 1]), "class_counts must have shape (3,), one count a class, got (2,)."),
        (lambda: LogitAdjustedCrossEntropyLoss([3, 1], strength=-1), "strength must be a finite number of at least 0, got -1."),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(call, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        call()
