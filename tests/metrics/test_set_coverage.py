"""The coverage and size of sets of classes, beside loops."""

from __future__ import annotations

import statistics

import pytest
import torch

from tests.distributed import run_processes
from topk_lightning.metrics import SetCoverage
from topk_lightning.metrics.intervals import wilson_interval

CLASSES = 40


def sets(rows=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = torch.rand(rows, 1, generator=generator) ** 3
    mask = torch.rand(rows, CLASSES, generator=generator) < size
    mask[::17] = False
    return mask, (torch.rand(rows, generator=generator) ** 2 * CLASSES).long()


def test_the_summary_is_what_loops_count():
    mask, target = sets()
    metric = SetCoverage(CLASSES)
    for part in torch.arange(300).split(64):
        metric.update(mask[part], target[part])
    found = metric.summary(min_images=12)
    hits = [bool(row[label]) for row, label in zip(mask, target.tolist(), strict=True)]
    sizes = mask.sum(1).tolist()
    assert found.coverage == sum(hits) / 300
    assert (found.low, found.high) == tuple(
        wilson_interval(torch.tensor(sum(hits) / 300, dtype=torch.float64), torch.tensor(300), 0.95).tolist()
    )
    of_class = {
        label: [hit for hit, y in zip(hits, target.tolist(), strict=True) if y == label]
        for label in set(target.tolist())
    }
    shares = {label: sum(own) / len(own) for label, own in of_class.items()}
    assert found.macro == pytest.approx(sum(shares.values()) / len(shares))
    worst = min((share, label) for label, share in shares.items() if len(of_class[label]) >= 12)
    assert (found.worst, found.worst_class, found.worst_images) == (*worst, len(of_class[worst[1]]))
    assert found.mean_size == pytest.approx(statistics.mean(sizes))
    assert found.median_size == statistics.median(sizes)
    assert found.empty == sizes.count(0) / 300
    for names in range(CLASSES + 1):
        assert found.at_most(names) == pytest.approx(sum(size <= names for size in sizes) / 300)
    bounds = [(0, 1), (2, 3), (4, 10), (11, 30), (31, 40)]
    assert [(each.smallest, each.largest) for each in found.by_size] == bounds
    for (low, high), each in zip(bounds, found.by_size, strict=True):
        inside = [hit for hit, size in zip(hits, sizes, strict=True) if low <= size <= high]
        assert (each.images, each.coverage) == (len(inside), pytest.approx(sum(inside) / len(inside)))


def test_weights_are_repetitions_and_ignored_rows_are_left_out():
    mask, target = sets(60)
    weight = torch.arange(60) % 4
    repeated, weighted = SetCoverage(CLASSES), SetCoverage(CLASSES)
    repeated.update(mask.repeat_interleave(weight, 0), target.repeat_interleave(weight))
    weighted.update(mask, target, weight.float())
    one, two = repeated.summary(), weighted.summary()
    assert (one.coverage, one.macro, one.mean_size, one.median_size) == (
        two.coverage,
        two.macro,
        two.mean_size,
        two.median_size,
    )
    assert two.high - two.low > one.high - one.low  # 60 images are not 90
    ignoring = SetCoverage(CLASSES, ignore_index=-1)
    ignoring.update(mask, torch.where(weight > 0, target, -1))
    kept = SetCoverage(CLASSES)
    kept.update(mask[weight > 0], target[weight > 0])
    assert ignoring.compute() == kept.compute()


def test_a_distribution_counts_by_its_shares_and_of_several_right_classes_one_is_enough():
    mask = torch.tensor([[True, True, False], [False, False, True]])
    soft = SetCoverage(3)
    soft.update(mask, torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]))
    assert float(soft.compute()) == (0.75 + 0) / 2
    hard = SetCoverage(3)
    hard.update(mask, torch.tensor([[0, 1, 1], [1, 1, 0]]))
    assert float(hard.compute()) == 1 / 2
    mixed = SetCoverage(3)
    mixed.update(mask, torch.nn.functional.one_hot(torch.tensor([0, 1]), 3).double())
    plain = SetCoverage(3)
    plain.update(mask, torch.tensor([0, 1]))
    assert str(mixed.summary()) == str(plain.summary())


def count_share(rank, world_size):
    mask, target = sets(101)
    metric = SetCoverage(CLASSES)
    metric.update(mask[rank::world_size], target[rank::world_size])
    return str(metric.summary()), float(metric.compute())


def test_processes_count_together():
    alone = count_share(0, 1)
    assert run_processes(count_share, 2) == [alone, alone]


@pytest.mark.parametrize(
    ("mask", "target", "sentence"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 1]), "mask must be a tensor of bool, which classes each image is shown, got torch.float32. PredictionSets.mask returns them."),
        (torch.zeros(2, 4).bool(), torch.tensor([0, 1]), "mask must have shape (N, 3), got (2, 4)."),
        (torch.zeros(2, 3).bool(), torch.tensor([0]), "target must have shape (2,) to match mask of shape (2, 3), got (1,)."),
        (torch.zeros(2, 3).bool(), torch.tensor([0, 3]), "target must hold class indices in [0, 3), got 3. Class indices start at 0."),
        (torch.zeros(2, 3).bool(), torch.tensor([0.0, 1.0]), "target must be of an integer dtype, got torch.float32."),
        (torch.zeros(1, 3).bool(), torch.tensor([[0, 0, 0]]), "target must say the right classes of each row as 0 and 1, got other numbers, or none."),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence(mask, target, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        SetCoverage(3).update(mask, target)
    assert str(raised.value) == sentence


def test_nothing_seen_is_no_number():
    summary = SetCoverage(3).summary()
    assert str(summary.coverage) == str(summary.macro) == str(summary.median_size) == "nan"
    assert summary.worst_class is None
