"""A batch of features and a linear head counts as its scores would."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from topk_lightning.metrics import MultilabelTopKAccuracy, TopKAccuracies, TopKAccuracy
from topk_lightning.metrics._counting import ALL_TIES

C = 5000


def batch(seed=0, rows=70):
    """Features, head and targets: whole numbers, so that many classes tie, and targets near the top."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, 8, generator=generator).round()
    weight, bias = torch.randn(C, 8, generator=generator).round(), torch.randn(C, generator=generator).round()
    place = torch.randint(12, (rows, 1), generator=generator)
    return features, weight, bias, F.linear(features, weight, bias).topk(12).indices.gather(1, place).squeeze(1)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("ties", ALL_TIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_all_counts_are_those_of_the_scores(ties, average, weighted):
    options = {"num_classes": C, "ties": ties, "average": average, "max_k": 10, "ignore_index": -1}
    found, expected = TopKAccuracy(5, **options), TopKAccuracy(5, **options)
    for seed in range(2):
        features, weight, bias, target = batch(seed)
        target[3], sample_weight = -1, torch.rand(len(target)) if weighted else None
        found.update_from_features(features, weight, bias, target, sample_weight)
        expected.update(F.linear(features, weight, bias), target, sample_weight)
    assert found.update_count == 2
    for name, table in expected.states().items():
        assert torch.equal(found.states()[name], table), name
    assert torch.equal(found.compute(), expected.compute())


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_several_k_are_counted_in_one_pass(average, monkeypatch):
    from topk_lightning.metrics import _from_features

    passes, count = [], _from_features.count_from_features
    monkeypatch.setattr(_from_features, "count_from_features", lambda *batch: passes.append(1) or count(*batch))
    found, expected = (TopKAccuracies((1, 3, 5), num_classes=C, average=average) for _ in range(2))
    for seed in range(2):
        features, weight, bias, target = batch(seed)
        found.update_from_features(features, weight, bias, target)
        expected.update(F.linear(features, weight, bias), target)
    assert found.compute() == expected.compute()
    assert len(passes) == 2
    assert [metric.update_count for metric in found.values()] == [2, 2, 2]


def test_a_metric_that_knows_no_features_stops_a_collection_before_it_counts():
    several = TopKAccuracies((1, 3))
    several["recall"] = MultilabelTopKAccuracy(2, "recall")
    with pytest.raises(TypeError) as caught:
        several.update_from_features(*batch())
    sentence = (
        "metrics must be TopKAccuracy for a batch of features, got MultilabelTopKAccuracy. Update it with its scores."
    )
    assert str(caught.value) == sentence
    assert not several.update_called


def test_a_value_that_was_computed_before_is_not_kept():
    metric = TopKAccuracy(1)
    features, weight, bias, _ = batch()
    best = F.linear(features, weight, bias).argmax(1)
    metric.update_from_features(features, weight, bias, best)
    assert metric.compute() == 1
    metric.update_from_features(features, weight, bias, (best + 1) % C)
    assert metric.compute() < 1


def test_sequences_and_other_updates_count_together():
    metric, expected = TopKAccuracy(5), TopKAccuracy(5)
    features, weight, bias, target = batch()
    metric.update_from_features(features.view(7, 10, 8), weight, bias, target.view(7, 10))
    metric.update(F.linear(features, weight, bias), target)
    for _ in range(2):
        expected.update(F.linear(features, weight, bias), target)
    assert metric.compute() == expected.compute()
    assert torch.equal(metric.counts.whole, expected.counts.whole)


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (TopKAccuracy(6000), r"^k must be at most the number of classes \(5000\), got 6000\."),
        (TopKAccuracy(5, num_classes=9), r"^num_classes must be the number of classes of the head \(5000\), got 9\.$"),
    ],
)
def test_a_head_of_another_size_is_refused(metric, sentence):
    with pytest.raises(ValueError, match=sentence):
        metric.update_from_features(*batch())
