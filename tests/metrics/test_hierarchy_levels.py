"""Accuracy at each level and distances of mistakes, against loops over images."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings, strategies as st

from topk_lightning import EmojiDataModule
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import hierarchy_levels, wilson_interval

DOGS = ["boston", "airedale", "beagle", "truck"]
KINDS = {"breed": [0, 0, 1, 2], "kind": [0, 0, 0, 1]}


def table(images):
    """Confusions of (actual, predicted) pairs, in the order of ClassReport."""
    counts = {pair: images.count(pair) for pair in sorted(set(images))}
    return torch.tensor([[*pair, count] for pair, count in counts.items()], dtype=torch.int64).reshape(-1, 3)


@st.composite
def nested(draw):
    """Images as (actual, predicted) pairs, and two levels that nest."""
    fine = draw(st.integers(1, 4))
    groups = draw(st.permutations([*range(fine), *draw(st.lists(st.integers(0, fine - 1), max_size=4))]))
    coarse = draw(st.integers(1, fine))
    parents = draw(st.permutations([*range(coarse), *[0] * (fine - coarse)]))
    index = st.integers(0, len(groups) - 1)
    images = draw(st.lists(st.tuples(index, index), max_size=30))
    return images, groups, [parents[group] for group in groups]


@given(nested())
@settings(max_examples=100)
def test_counts_are_those_of_a_loop_over_images(case):
    images, fine, coarse = case
    found = hierarchy_levels(table(images), {"fine": fine, "coarse": coarse})
    right = [
        sum(a == p for a, p in images),
        sum(fine[a] == fine[p] for a, p in images),
        sum(coarse[a] == coarse[p] for a, p in images),
    ]
    assert [level.right for level in found.levels] == right
    assert [level.num_groups for level in found.levels] == [len(fine), max(fine) + 1, max(coarse) + 1]
    assert {level.images for level in found.levels} == {len(images)}
    met = [right[1] - right[0], right[2] - right[1], len(images) - right[2]]
    assert [distance.mistakes for distance in found.distances] == met
    assert found.mistakes == sum(met)
    for level in found.levels:
        if images:
            rows = torch.tensor(len(images), dtype=torch.float64)
            low, high = wilson_interval(level.right / rows, rows, 0.95).tolist()
            assert (level.low, level.high) == pytest.approx((low, high))
            assert level.accuracy == level.right / len(images)
        else:
            assert all(math.isnan(value) for value in (level.low, level.high, level.accuracy))


@given(nested())
@settings(max_examples=60)
def test_chance_sends_each_mistake_to_every_other_class_alike(case):
    images, fine, coarse = case
    found = hierarchy_levels(table(images), {"fine": fine, "coarse": coarse})
    expected = [0.0, 0.0, 0.0]
    for actual, predicted in images:
        others = [other for other in range(len(fine)) if other != actual]
        if actual != predicted:
            for other in others:
                distance = (fine[other] != fine[actual]) + (coarse[other] != coarse[actual])
                expected[distance] += 1 / len(others)
    assert [distance.by_chance for distance in found.distances] == pytest.approx(expected)
    if found.mistakes:
        mean = sum(d * n for d, n in enumerate(expected, 1)) / found.mistakes
        assert found.mean_distance_by_chance == pytest.approx(mean)
    else:
        assert math.isnan(found.mean_distance)
        assert math.isnan(found.mean_distance_by_chance)


def test_a_terrier_is_nearer_to_a_terrier_than_to_a_truck():
    images = [(0, 0)] * 5 + [(0, 1)] * 3 + [(2, 1)] * 2 + [(0, 3)]
    found = hierarchy_levels(table(images), KINDS, DOGS)
    assert [(d.level, d.mistakes, d.example) for d in found.distances] == [
        ("breed", 3, ("boston", "airedale")),
        ("kind", 2, ("beagle", "airedale")),
        (None, 1, ("boston", "truck")),
    ]
    assert found.mean_distance == (3 * 1 + 2 * 2 + 1 * 3) / 6
    assert [level.accuracy for level in found.levels] == [5 / 11, 8 / 11, 10 / 11]


def test_images_without_a_prediction_are_wrong_everywhere_and_no_mistake():
    images = [(0, 0)] * 5 + [(0, 1)] * 3
    found = hierarchy_levels(table(images), KINDS, nan_rows=2)
    assert [level.accuracy for level in found.levels] == [5 / 10, 8 / 10, 8 / 10]
    assert found.mistakes == 3
    assert found.distances[0].example == ("0", "1")


def test_one_level_and_levels_by_name_or_as_a_hierarchy():
    pairs = table([(0, 0), (0, 1), (2, 3)])
    breeds = {"boston": "terrier", "airedale": "terrier", "beagle": "hound", "truck": "none"}
    expected = hierarchy_levels(pairs, {"breed": [1, 1, 0, 2]}, DOGS)
    assert hierarchy_levels(pairs, {"breed": breeds}, DOGS) == expected
    assert hierarchy_levels(pairs, {"breed": Hierarchy.of(breeds, DOGS)}, DOGS) == expected
    assert [d.mistakes for d in expected.distances] == [1, 1]


def test_emoji_have_two_levels_and_random_answers_are_as_far_off_as_chance():
    data = EmojiDataModule()
    draw = random.Random(0)
    images = [(actual, draw.randrange(data.num_classes)) for actual in range(data.num_classes) for _ in range(9)]
    found = hierarchy_levels(table(images), data.fine_to_coarse, data.class_names)
    assert [level.level for level in found.levels] == ["class", "subcategory", "category"]
    assert found.mean_distance == pytest.approx(found.mean_distance_by_chance, abs=0.02)
    assert [d.mistakes for d in found.distances] == pytest.approx([d.by_chance for d in found.distances], rel=0.25)


def test_a_single_class_and_no_images():
    found = hierarchy_levels(table([(0, 0)]), {"all": [0]})
    assert [level.accuracy for level in found.levels] == [1, 1]
    assert found.distances[0].by_chance == 0
    assert hierarchy_levels(table([]), KINDS).levels[0].images == 0


@pytest.mark.parametrize(
    ("confusions", "levels", "options", "error", "sentence"),
    [
        (table([]), [0, 1], {}, TypeError, 'levels must be a dict {level: groups of the classes}, got list. Did you mean {"group": fine_to_coarse}?'),
        (table([]), {}, {}, ValueError, "levels must hold at least one level, got none."),
        (
            table([]),
            {"kind": KINDS["kind"], "breed": KINDS["breed"]},
            {},
            ValueError,
            "levels must go from fine to coarse, each group of 'kind' within one of 'breed', "
            "got group 0 of 'kind' in groups 0 and 1.",
        ),
        (
            table([]),
            {"breed": [0, 0, 1], "kind": [0, 0]},
            {},
            ValueError,
            "levels must name a group for each class at every level, got 3 for 'breed' and 2 for 'kind'.",
        ),
        (
            torch.zeros(4, 4).long(),
            KINDS,
            {},
            ValueError,
            "confusions must have shape (M, 3): actual class, predicted class, count, got (4, 4). "
            "ClassReport.confusions() returns them.",
        ),
        (torch.zeros(1, 3), KINDS, {}, TypeError, "confusions must be of an integer dtype, got torch.float32."),
        ([[0, 0, 1]], KINDS, {}, TypeError, "confusions must be a torch.Tensor, got list."),
        (table([(0, 4)]), KINDS, {}, ValueError, "confusions must hold class indices in [0, 4), as the levels do, got 4."),
        (table([]), KINDS, {"class_names": ["a"]}, ValueError, "class_names must hold 4 names, one a class, got 1."),
        (table([]), KINDS, {"nan_rows": -1}, ValueError, "nan_rows must be at least 0, got -1."),
    ],
)  # fmt: skip
def test_mistakes_get_a_sentence(confusions, levels, options, error, sentence):
    with pytest.raises(error) as caught:
        hierarchy_levels(confusions, levels, **options)
    assert str(caught.value) == sentence
