"""Ranks under a linear head, chunk by chunk, are those of the whole product."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

from tests.benchmarks.timing import peak_extra_bytes
from topk_lightning import feature_ranks
from topk_lightning.feature_ranks import target_rank_from_features
from topk_lightning.ranking import TIES, target_rank

INF, NAN = float("inf"), float("nan")


def head(num_rows, num_classes, width, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features, weight, bias = (
        torch.randn(shape, generator=generator).to(dtype)
        for shape in ((num_rows, width), (num_classes, width), (num_classes,))
    )
    return features, weight, bias, torch.randint(num_classes, (num_rows,), generator=generator)


def agree(features, weight, bias, target):
    scores = F.linear(features, weight, bias)
    for ties in TIES:
        found = target_rank_from_features(features, weight, bias, target, ties=ties)
        assert torch.equal(found, target_rank(scores, target, ties=ties)), ties


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(300, 10_000, 64), (70, 4133, 768), (64, 100, 32), (3, 130, 7), (1, 5000, 16)])
def test_each_rank_is_that_of_the_whole_product(shape, has_bias, dtype):
    features, weight, bias, target = head(*shape, dtype)
    agree(features, weight, bias if has_bias else None, target)


def test_likely_targets_too():
    features, weight, bias, _ = head(200, 9000, 64)
    target = F.linear(features, weight, bias).topk(5).indices[torch.arange(200), torch.arange(200) % 5]
    ranks = target_rank_from_features(features, weight, bias, target)
    assert torch.equal(ranks, torch.arange(200) % 5)


def test_classes_of_the_same_weights_tie_with_the_target():
    features, weight, bias, target = head(100, 6000, 32)
    weight[3000:], bias[3000:] = weight[:3000], bias[:3000]  # each class has a twin in another chunk
    agree(features, weight, bias, target)
    ranks = {ties: target_rank_from_features(features, weight, bias, target, ties=ties) for ties in TIES}
    assert torch.equal(ranks["strict"], ranks["optimistic"] + 1)
    assert torch.equal(ranks["index"], ranks["optimistic"] + (target >= 3000))


@pytest.mark.parametrize("value", [0.0, -INF, NAN])
def test_a_head_that_says_the_same_of_every_class(value):
    features, weight, _, target = head(50, 5000, 16)
    agree(features, torch.zeros_like(weight), torch.full((5000,), value), target)


def test_rows_and_classes_that_are_not_finite():
    features, weight, bias, target = head(64, 5000, 16)
    features[0], features[1, 0], weight[7], bias[target[2]], bias[target[3]], bias[9] = NAN, INF, INF, NAN, INF, NAN
    agree(features, weight, bias, target)


def test_whole_numbers_tie_by_chance():
    features, weight, bias, target = head(100, 5000, 4)
    agree(features.round(), weight.round(), bias.round(), target)


def test_rows_are_taken_block_by_block(monkeypatch):
    monkeypatch.setattr(feature_ranks, "_ROWS", 100)
    agree(*head(250, 5000, 32))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_wrong_bound_of_the_targets_score_is_noticed(monkeypatch, scale):
    # Bounds that hold no target's score: all are counted again by the score itself.
    bounds = feature_ranks._Head.bounds
    monkeypatch.setattr(
        feature_ranks._Head, "bounds", lambda *args: tuple(bound + scale for bound in bounds(*args)[::-1])
    )
    agree(*head(64, 5000, 32))


def test_any_leading_shape_and_integer_dtype():
    features, weight, bias, target = head(24, 500, 8)
    flat = target_rank_from_features(features, weight, bias, target)
    found = target_rank_from_features(features.view(2, 3, 4, 8), weight, bias, target.view(2, 3, 4).int())
    assert torch.equal(found, flat.view(2, 3, 4))
    assert target_rank_from_features(features[0], weight, bias, target[0]) == flat[0]
    assert target_rank_from_features(features[:0], weight, bias, target[:0]).shape == (0,)


def test_parameters_with_a_gradient_stay_as_they_are():
    layer = torch.nn.Linear(8, 3000)
    ranks = target_rank_from_features(torch.randn(5, 8), layer.weight, layer.bias, torch.arange(5))
    assert not ranks.requires_grad


def test_under_autocast_the_scores_are_those_of_the_head_under_autocast():
    layer, target = torch.nn.Linear(16, 5000), torch.arange(40)
    features = torch.randn(40, 16, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = target_rank_from_features(features, layer.weight, layer.bias, target)
        assert torch.equal(found, target_rank(layer(features), target))


def test_it_holds_no_more_than_a_chunk_of_scores():
    features, weight, bias, target = head(64, 100_000, 8)
    held = peak_extra_bytes(lambda: target_rank_from_features(features, weight, bias, target))
    assert held < 0.1 * 64 * 100_000 * 4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_only_what_lies_within_one_rounding_may_differ(record_property):
    features, weight, bias, target = (part.cuda() for part in head(512, 50_000, 256))
    scores = F.linear(features, weight, bias)
    own = scores.gather(1, target.unsqueeze(1))
    slack = 16 * torch.finfo(scores.dtype).eps * features.norm(dim=1, keepdim=True) * weight.norm(dim=1).amax()
    near = ((scores - own).abs() <= slack).sum(1)
    found, expected = target_rank_from_features(features, weight, bias, target), target_rank(scores, target)
    record_property("rows that differ", int((found != expected).sum()))
    assert ((found - expected).abs() < near).all()


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"features": torch.zeros(4, 8, dtype=torch.long)}, TypeError, "features must be of a float dtype, got torch.int64."),
        ({"weight": torch.zeros(9, 8).double()}, TypeError, "weight must be of the dtype of the features (torch.float32), got torch.float64."),
        ({"weight": torch.zeros(9, 7)}, ValueError, "weight must have shape (C, D) to features of shape (4, 8), got (9, 7)."),
        ({"bias": torch.zeros(8)}, ValueError, "bias must have shape (9,), one a class, got (8,)."),
        ({"bias": 0.0}, TypeError, "bias must be a torch.Tensor, got float."),
        ({"target": torch.zeros(4, 1).long()}, ValueError, "target must have shape (4,) to match features of shape (4, 8), got (4, 1)."),
        ({"target": torch.zeros(4)}, TypeError, "target must hold class indices of an integer dtype, got torch.float32."),
        ({"target": torch.tensor([0, 1, 2, 9])}, ValueError, "target must hold class indices in [0, 9)"),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(changes, error, sentence):
    given = {
        "features": torch.zeros(4, 8),
        "weight": torch.zeros(9, 8),
        "bias": torch.zeros(9),
        "target": torch.zeros(4).long(),
    }
    with pytest.raises(error, match=f"^{re.escape(sentence)}"):
        target_rank_from_features(**given | changes)
