"""The mean loss of an epoch is that over all its rows, whatever the batches, the weights and the ignored rows."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from topk_lightning import losses
from topk_lightning.metrics import MeanLoss, mean_divisor

ROWS, CLASSES = 61, 5
WEIGHT = torch.tensor([1.0, 4.0, 0.5, 2.0, 3.0])


def data(kind):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(ROWS, CLASSES, generator=generator)
    target = torch.randint(CLASSES, (ROWS,), generator=generator)
    if kind == "soft":
        return logits, torch.rand(ROWS, CLASSES, generator=generator).softmax(1)
    target[:10] = target[20] = -100  # a whole batch, and one row of another
    return logits, target


def mean_of_batches(loss, logits, target, rows):
    mean = MeanLoss()
    for part in zip(logits.split(rows), target.split(rows), strict=True):
        mean.update(loss(*part), mean_divisor(loss, *part))
    return mean.compute()


LOSSES = {
    "torch": nn.CrossEntropyLoss(),
    "torch weighted": nn.CrossEntropyLoss(weight=WEIGHT),
    "torch smoothed": nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
    "a function": nn.functional.cross_entropy,
    "a bound function": functools.partial(nn.functional.cross_entropy, weight=WEIGHT),
    "ours": losses.SmoothTopKSVMLoss(2),
    "ours weighted": losses.TruncatedTopKEntropyLoss(2, weight=WEIGHT),
    "our function": functools.partial(losses.temperature_cross_entropy_loss, weight=WEIGHT),
}


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("rows", [1, 10, 16, ROWS])
@pytest.mark.parametrize("name", LOSSES)
def test_the_size_of_the_batches_does_not_matter(name, rows, kind):
    loss, (logits, target) = LOSSES[name], data(kind)
    torch.testing.assert_close(mean_of_batches(loss, logits, target, rows), loss(logits, target))


def test_sequences_and_pictures_count_each_place():
    logits, target = torch.randn(4, CLASSES, 3), torch.randint(CLASSES, (4, 3))
    soft = torch.rand(4, 3, CLASSES).softmax(-1)
    torchs, ours = nn.CrossEntropyLoss(), losses.SmoothTopKSVMLoss(2, weight=WEIGHT, class_dim=-1)
    torch.testing.assert_close(mean_of_batches(torchs, logits, target, 3), torchs(logits, target))
    torch.testing.assert_close(mean_of_batches(torchs, logits, soft.mT, 3), torchs(logits, soft.mT))
    torch.testing.assert_close(mean_of_batches(ours, logits.mT, soft, 3), ours(logits.mT, soft))


def test_of_other_callables_the_rows_count():
    def loss(logits, target, ignore_index=-100):
        kept = target != ignore_index
        return (logits[kept].logsumexp(1) ** 2).mean()

    logits, target = data("hard")
    torch.testing.assert_close(mean_of_batches(loss, logits, target, 16), loss(logits, target))
    multi_hot = nn.BCEWithLogitsLoss()
    soft = torch.rand(ROWS, CLASSES)
    torch.testing.assert_close(mean_of_batches(multi_hot, logits, soft, 16), multi_hot(logits, soft))


def test_twenty_thousand_batches_of_one_value_have_that_mean():
    mean = MeanLoss()
    for _ in range(20_000):
        mean.update(torch.tensor(1.1), 4096)
    assert mean.compute() == torch.tensor(1.1)


def test_the_states_stay_float64_in_a_module_of_half_precision():
    module = nn.Module()
    module.mean = MeanLoss()
    for cast in (torch.bfloat16, torch.half):
        module.to(cast)
        module.type(cast)
        module.mean.update(torch.tensor(1.917), 60_000)
    assert {state.dtype for state in module.mean.states().values()} == {torch.float64}
    assert module.mean.compute() == torch.tensor(1.917)


def test_validation_in_inference_mode_and_then_training():
    mean = MeanLoss()
    with torch.inference_mode():
        mean.update(torch.tensor(1.0), 2)
        mean.reset()
    mean.update(torch.tensor(3.0, requires_grad=True), 2)
    assert mean.compute() == 3
    assert not mean.compute().requires_grad


def test_nothing_seen_is_nan_and_a_nan_stays_one():
    mean = MeanLoss()
    mean.update(torch.tensor(float("nan")), 0)
    assert mean.compute().isnan()
    mean.update(torch.tensor(2.0), 1)
    assert mean.compute() == 2
    mean.update(torch.tensor(float("nan")), 1)
    assert mean.compute().isnan()
