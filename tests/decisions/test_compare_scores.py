"""Two models by stored scores: the same images whatever their order, and sentences where they are not the same."""

from __future__ import annotations

import json

import pytest
import torch

from topk_lightning._checks import UserError
from topk_lightning.decisions import compare_classes, compare_scores, compare_topk
from topk_lightning.scores import Scores

NAMES = ["ant", "bee", "cat", "dog", "eel", "fly"]


def made(seed=0, rows=60, **options):
    values = torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))
    given = {"class_names": NAMES, "ids": [f"{row}.png" for row in range(rows)], **options}
    return Scores(values, torch.arange(rows) % 6, kind="logits", **given)


def test_it_is_the_comparison_of_the_scores():
    first, second = made(0), made(1)
    compared = compare_scores(first, second, k=(1, 3), margin=0.1)
    expected = compare_topk(first.values, second.values, first.target, k=(1, 3), margin=0.1)
    assert {k: str(one) for k, one in compared.by_k.items()} == {k: str(one) for k, one in expected.items()}
    of_classes = compare_classes(first.values, second.values, first.target)
    assert [(c.index, c.adjusted_p) for c in compared.classes] == [(c.index, c.adjusted_p) for c in of_classes]


def test_images_and_classes_are_found_by_their_names():
    first, second = made(0), made(1)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    turned = Scores(
        second.values[order].flip(1),
        5 - second.target[order],
        kind="logits",
        class_names=NAMES[::-1],
        ids=[second.ids[row] for row in order],
    )
    content = [json.dumps(compare_scores(first, one).to_dict(), allow_nan=False) for one in (second, turned)]
    assert json.loads(content[0])["topk"] == json.loads(content[1])["topk"]


def test_the_best_alone_are_compared_up_to_their_k():
    first, second = made(0), made(1)
    best = Scores.of_topk(
        second.topk(3), second.values.gather(1, second.topk(3)), second.target, kind="logits", class_names=NAMES
    )
    compared = compare_scores(first, best, k=3)
    assert str(compared.by_k[3]) == str(compare_scores(first, second, k=3).by_k[3])
    assert compared.calibration is None
    with pytest.raises(ValueError, match="scores of all classes for k = 5"):
        compare_scores(first, best)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (made(rows=59), "second must hold the 60 images of first, got 59."),
        (made(ids=[f"{row}.jpg" for row in range(60)]), "second must hold the images of first, got none called '0.png'."),
        (made(class_names=["ape", *NAMES[1:]]), "second must have the classes of first, got one called 'ape'."),
        (Scores(torch.ones(60, 6), torch.zeros(60).long(), kind="logits"), "target must be the same for both models, got 50 images of another class. Were they stored in another order?"),
        (Scores(torch.ones(60, 7), torch.zeros(60).long(), kind="logits"), "second must have the 6 classes of first, got 7."),
        (made(sample_weight=torch.ones(60)), "second must count all images alike for a comparison, got weights of samples."),
    ],
)  # fmt: skip
def test_other_images_classes_or_targets_get_one_sentence(second, sentence):
    with pytest.raises(UserError) as error:
        compare_scores(made(), second)
    assert str(error.value) == sentence
