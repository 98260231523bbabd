"""What decides how a batch is counted: settings, shapes of weights, labels that are none."""

from __future__ import annotations

import re

import pytest
import torch

from topk_lightning.metrics._counting import Counting

SCORES = torch.eye(3)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_k": 0}, "k"),
        ({"max_k": 4, "num_classes": 3}, "k"),
        ({"max_k": 1, "ties": "odd"}, "ties"),
        ({"max_k": 1, "ignore_index": 1.5}, "ignore_index"),
        ({"max_k": 1, "ignore_index": -(2**63) - 1}, "ignore_index"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_its_name(settings, name):
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
        Counting(**settings)


@pytest.mark.parametrize(
    ("preds", "target", "name"), [(SCORES, [0, 1, 2], "target"), ([[1.0]], torch.zeros(1), "preds")]
)
def test_what_is_no_tensor_is_told_by_its_name(preds, target, name):
    sentence = f"{name} must be a torch.Tensor, got list. Convert it with torch.as_tensor."
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        Counting(1).count(preds, target)


def test_settings_at_their_bounds_are_taken():
    assert Counting(4, num_classes=3, fits=False).max_k == 4
    assert Counting(1, ignore_index=-(2**63)).ignore_index == -(2**63)
    assert not Counting(1).by_class
    with pytest.raises(ValueError, match=r"^k must be at most"):
        Counting(4).count(SCORES, torch.arange(3))


def test_the_tables_of_no_rows_stand_where_they_are_asked_for():
    assert [table.device.type for table in Counting(1).empty(torch.device("meta"))] == ["meta", "meta"]


@pytest.mark.parametrize("ties", ["index", "expected"])
def test_a_label_that_is_none_is_said(ties):
    sentence = "target must hold class indices in [0, 3), got 3. Class indices start at 0."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Counting(1, ties=ties).count(SCORES, torch.tensor([0, 1, 3]))


def test_ignored_rows_earn_no_expected_credit():
    counts = Counting(1, ties="expected", ignore_index=2).count(SCORES, torch.arange(3))
    assert counts.fractional.tolist() == [2, 0, 2]


def test_a_weight_stands_for_a_row_of_labels_and_of_distributions():
    scores, target = torch.eye(3).expand(2, 3, 3), torch.arange(3).expand(2, 3)
    weight = torch.arange(6.0).view(2, 3)
    for labels in (target, torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()):
        assert Counting(1).count(scores, labels, weight).fractional[0] == weight.sum()
        with pytest.raises(ValueError, match=r"^sample_weight must have shape"):
            Counting(1).count(scores, labels, weight[:, :2])


@pytest.mark.parametrize("ties", ["index", "expected"])
@pytest.mark.parametrize("soft", [False, True])
def test_classes_may_stand_last(ties, soft):
    scores = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10).view(2, 5) % 3
    target = torch.nn.functional.one_hot(labels, 3).float() if soft else labels
    found = Counting(1, ties=ties, class_dim=2).count(scores, target, torch.ones(2, 5)).fractional
    assert found[0] == (scores.argmax(2) == labels).sum()


def test_a_distribution_counts_by_its_sum_and_a_nan_is_a_miss():
    assert Counting(1).count(SCORES, SCORES * (1 + 2**-20)).fractional[0] == 3
    counts = Counting(1, ties="expected").count(torch.tensor([[torch.nan, 1.0]]), torch.tensor([0]))
    assert counts.fractional.tolist() == [0, 1, 1]
