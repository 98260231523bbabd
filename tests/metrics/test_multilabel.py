"""MultilabelTopKAccuracy against sets."""

from __future__ import annotations

import math
import pickle
import re

import pytest
import torch
from torchmetrics import MetricCollection

from topk_lightning.metrics import MultilabelTopKAccuracy, multilabel_topk_accuracy

CRITERIA = ("any", "all", "exact", "recall", "precision")


def batch(rows=40, classes=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(5, (rows, classes), generator=generator).float()
    return scores, (torch.rand(rows, classes, generator=generator) < 0.3).long()


def by_sets(scores, target, k, criterion):
    shares = []
    for row, wanted in zip(scores.tolist(), target.tolist(), strict=True):
        right = {c for c, value in enumerate(wanted) if value}
        best = set(sorted(range(len(row)), key=lambda c: (-row[c], c))[:k])
        if right:
            both = len(right & best)
            shares.append(
                {
                    "any": float(both > 0),
                    "all": float(right <= best),
                    "exact": float(right == best),
                    "recall": both / len(right),
                    "precision": both / k,
                }[criterion]
            )
    return sum(shares) / len(shares)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_criteria_against_sets(criterion, k):
    scores, target = batch()
    expected = pytest.approx(by_sets(scores, target, k, criterion))
    assert multilabel_topk_accuracy(scores, target, k, criterion).item() == expected
    metric = MultilabelTopKAccuracy(k, criterion)
    metric.update(scores[:9], target[:9])
    metric.update(scores[9:9], target[9:9])
    metric.update(scores[9:], target[9:])
    assert metric.compute().item() == expected


def test_a_dimension_of_size_1_too_many_is_named():
    preds, target = torch.zeros(16, 55), torch.zeros(16, 55, 1)
    for call, remedy in (
        (lambda: multilabel_topk_accuracy(preds, target, 3), "Did you mean target.squeeze(2)?"),
        (lambda: multilabel_topk_accuracy(preds.unsqueeze(2), target.squeeze(2), 3), "Did you mean preds.squeeze(2)?"),
    ):
        with pytest.raises(ValueError, match=re.escape(remedy) + "$"):
            call()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64])
def test_multi_hot_targets_of_any_dtype(dtype):
    scores, target = torch.randn(16, 55), (torch.rand(16, 55) < 0.1).to(dtype)
    value = multilabel_topk_accuracy(scores, target, k=3)
    assert value.item() == pytest.approx(by_sets(scores, target, 3, "any"))


def test_more_dimensions():
    scores, target = batch(rows=12, classes=7)
    folded = multilabel_topk_accuracy(scores.view(4, 3, 7), target.view(4, 3, 7), 2, "recall", class_dim=-1)
    assert folded == multilabel_topk_accuracy(scores, target, 2, "recall")


def test_rows_without_a_right_class_are_skipped_and_none_at_all_is_nan():
    scores, target = batch(rows=4)
    target[:3] = 0
    target[3, 0] = 1
    assert multilabel_topk_accuracy(scores, target, 7) == 1
    assert multilabel_topk_accuracy(scores, torch.zeros_like(target), 7).isnan()


def test_a_nan_score_is_never_a_hit():
    scores = torch.tensor([[math.nan, 1.0, 0.0]])
    assert multilabel_topk_accuracy(scores, torch.tensor([[1, 0, 0]]), k=3) == 0


def test_collection_keeps_settings_apart_and_pickle_keeps_counts():
    first, later = batch(rows=2, seed=3), batch(rows=50, seed=4)
    collection = MetricCollection({c: MultilabelTopKAccuracy(2, c) for c in CRITERIA})
    collection.update(*first)
    collection = pickle.loads(pickle.dumps(collection))
    collection.reset()
    collection.update(*later)
    for criterion, value in collection.compute().items():
        assert value.item() == pytest.approx(by_sets(*later, 2, criterion))


SENTENCES = [
    (
        lambda: MultilabelTopKAccuracy(1)(torch.zeros(2, 3), torch.tensor([0, 1])),
        "target must have the shape of preds (2, 3), multi-hot, got (2,). For one class index a row use TopKAccuracy.",
    ),
    (
        lambda: MultilabelTopKAccuracy(1)(torch.zeros(1, 3), torch.tensor([[0, 2, 1]])),
        "target must be multi-hot (only 0 and 1), got 2.",
    ),
    (
        lambda: MultilabelTopKAccuracy(4)(torch.zeros(1, 3), torch.tensor([[0, 1, 1]])),
        "k must be at most the number of classes (3), got 4. Use a smaller k.",
    ),
    (
        lambda: MultilabelTopKAccuracy(criterion="some"),
        "criterion must be one of 'any', 'all', 'exact', 'recall', 'precision', got 'some'.",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), SENTENCES)
def test_wrong_values_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value) == sentence
