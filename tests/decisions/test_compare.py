"""Comparison of two models on the same images: p-values and intervals enumerated, not simulated."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, strategies as st

from topk_lightning.decisions import compare_classes, compare_hits, compare_topk, mcnemar
from topk_lightning.decisions._paired import paired_interval


def hits(both, won, lost, neither):
    """Two models that are right together, alone, and never, on so many images."""
    counts = (both, won, lost, neither)
    first = torch.tensor([True, False, True, False]).repeat_interleave(torch.tensor(counts))
    second = torch.tensor([True, True, False, False]).repeat_interleave(torch.tensor(counts))
    return first, second


@given(st.integers(0, 200), st.integers(0, 200))
def test_p_values_are_those_of_whole_numbers(won, lost):
    images, least = won + lost, min(won, lost)
    tail = Fraction(sum(math.comb(images, count) for count in range(least + 1)), 2**images)
    point = Fraction(math.comb(images, least), 2**images)
    exact, mid_p = mcnemar(won, lost)
    assert exact == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-9)
    assert mid_p == pytest.approx(float(2 * tail - point), rel=1e-9)
    assert mcnemar(lost, won) == (exact, mid_p)


def test_no_image_that_tells_them_apart_is_no_difference():
    assert mcnemar(0, 0) == (1, 1)
    assert mcnemar(7, 7) == (1, pytest.approx(1))
    assert mcnemar(50_000, 49_000).mid_p == pytest.approx(math.erfc(1000 / math.sqrt(99_000) / math.sqrt(2)), rel=0.01)


def binomial(images, share):
    """Probability of each count of `images`."""
    logs = [
        math.lgamma(images + 1) - math.lgamma(n + 1) - math.lgamma(images - n + 1)
        + (n * math.log(share) if n else 0) + (images - n) * math.log1p(-share)
        for n in range(images + 1)
    ]  # fmt: skip
    return [math.exp(log) for log in logs]


@pytest.mark.parametrize(("images", "share"), [(200, 0.10), (462, 0.05), (462, 0.10), (1000, 0.05)])
def test_of_equal_models_at_most_one_in_twenty_is_called_different(images, share):
    rates = [0.0, 0.0]
    for discordant, weight in enumerate(binomial(images, share)):
        if weight < 1e-9:
            continue
        for won, chance in enumerate(binomial(discordant, 0.5)):
            for kind, p in enumerate(mcnemar(won, discordant - won)):
                rates[kind] += weight * chance * (p <= 0.05)
    exact, mid_p = rates
    assert exact <= 0.05
    assert 0.035 <= mid_p <= 0.055


def test_the_interval_is_newcombes():
    # Table II of the paper: 36, 12, 2, 0.
    low, high = paired_interval(36, 12, 2, 50, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404)
    low, high = paired_interval(50, 0, 0, 50, 0.95)
    assert low < 0 < high
    assert (low, high) == (pytest.approx(-high), pytest.approx(-low))


@pytest.mark.parametrize(
    "cells", [(0.5, 0.1, 0.1, 0.3), (0.6, 0.2, 0.1, 0.1), (0.85, 0.05, 0.05, 0.05), (0.3, 0.3, 0.1, 0.3)]
)
def test_the_interval_holds_the_difference_of_the_models(cells):
    images, covered, seen = 40, 0.0, 0.0
    logs = [math.log(cell) for cell in cells]
    truth = cells[1] - cells[2]
    for both in range(images + 1):
        for won in range(images + 1 - both):
            for lost in range(images + 1 - both - won):
                counts = (both, won, lost, images - both - won - lost)
                log = math.lgamma(images + 1) + sum(
                    n * log - math.lgamma(n + 1) for n, log in zip(counts, logs, strict=True)
                )
                if log < -16:
                    continue
                low, high = paired_interval(both, won, lost, images, 0.95)
                seen += math.exp(log)
                covered += math.exp(log) * (low <= truth <= high)
    assert seen > 0.999
    assert 0.93 <= covered <= 0.985


def test_a_comparison_counts_every_image_once():
    found = compare_hits(*hits(60, 9, 2, 29))
    assert (found.images, found.both, len(found.won), len(found.lost)) == (100, 60, 9, 2)
    assert (found.first, found.second) == ((60 + 2) / 100, (60 + 9) / 100)
    assert found.difference == (9 - 2) / 100
    assert found.low < found.difference < found.high
    assert found.won.tolist() == list(range(60, 69))
    assert found.lost.tolist() == [69, 70]
    assert found.verdict == "better"
    turned = compare_hits(*reversed(hits(60, 9, 2, 29)))
    assert turned.verdict == "worse"
    assert (turned.low, turned.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


def test_the_same_difference_is_clearer_the_more_the_models_agree():
    # 70 and 77 of 100: with 7 discordant images a certain gain, with 63 none.
    assert compare_hits(*hits(70, 7, 0, 23)).test.mid_p == pytest.approx(1 / 2**7)
    assert compare_hits(*hits(42, 35, 28, 0)).verdict == "undecided"


def test_equivalent_is_what_two_one_sided_tests_show():
    close = hits(9000, 50, 45, 905)
    assert compare_hits(*close).equivalent is None
    assert compare_hits(*close, margin=0.01).verdict == "equivalent"
    assert not compare_hits(*close, margin=0.001).equivalent
    assert compare_hits(*hits(60, 5, 4, 31), margin=0.01).verdict == "undecided"  # too few images to show anything
    found = compare_hits(*close, level=0.90)
    assert compare_hits(*close, margin=max(-found.low, found.high) + 1e-6).equivalent
    assert not compare_hits(*close, margin=max(-found.low, found.high) - 1e-6).equivalent


def test_scores_are_compared_by_their_order_at_each_k():
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(90) % 6
    first = torch.randn(90, 6, generator=generator)
    second = first + 2 * torch.eye(6)[target]
    by_k = compare_topk(first, second, target, k=(1, 3))
    for k, found in by_k.items():
        for scores, accuracy in ((first, found.first), (second, found.second)):
            inside = [row.topk(k).indices.tolist() for row in scores]
            assert accuracy == sum(int(label) in best for label, best in zip(target, inside, strict=True)) / 90
    assert by_k[1].verdict == "better"
    assert not len(by_k[1].lost)
    probabilities = compare_topk(first, second.softmax(1), target, k=1)[1]
    assert probabilities.won.tolist() == by_k[1].won.tolist()
    assert list(compare_topk(first, second, target)) == [1, 5]
    assert list(compare_topk(first[:, :3], second[:, :3], target % 3)) == [1]


def test_a_nan_score_of_the_class_is_a_miss():
    target, second = torch.arange(4), torch.eye(4)
    first = second.clone()
    first[2, 2] = torch.nan
    found = compare_topk(first, second, target, k=4)[4]
    assert found.won.tolist() == [2]


def test_classes_are_corrected_for_their_number():
    target = torch.arange(20).repeat_interleave(10)
    second = torch.eye(20)[target]
    first = second.clone()
    first[:8] = first[:8].roll(1, 1)  # eight of the ten images of class 0
    found = compare_classes(first, second, target)
    assert len(found) == 20
    assert found[0].index == 0
    assert found[0].comparison.won.tolist() == list(range(8))
    assert found[0].adjusted_p == pytest.approx(20 * mcnemar(8, 0).mid_p)
    assert all(one.adjusted_p == 1 for one in found[1:])
    adjusted = [one.adjusted_p for one in found]
    assert adjusted == sorted(adjusted)


def test_what_cannot_be_compared_is_said_in_one_sentence():
    right, scores, target = torch.tensor([True, False]), torch.eye(3), torch.arange(3)
    for call, sentence in (
        (lambda: compare_hits(right.int(), right), "first must be a tensor of bool, whether each image is right, got torch.int32."),
        (lambda: compare_hits(right, right[:1]), "second must have shape (2,) as first, got (1,)."),
        (lambda: compare_hits(right[:0], right[:0]), "first must have shape (N,) of at least one image, got (0,)."),
        (lambda: compare_hits(right, right, level=95), "level must lie between 0 and 1, got 95. Did you mean 0.95?"),
        (lambda: compare_topk(scores, scores[:2], target), "second must have shape (3, 3) as first, the same images and classes, got (2, 3)."),
        (lambda: compare_topk(scores, scores, target, k=4), "k must be at most the number of classes (3), got 4. Use a smaller k."),
        (lambda: mcnemar(-1, 2), "won must be at least 0, got -1."),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert str(caught.value) == sentence
