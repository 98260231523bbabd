"""Which class of a model each class of some data is."""

import pytest
import torch
from hypothesis import given, strategies as st

from topk_lightning.classifier import match_classes

MODEL = ["ant", "bee", "cat"]


@given(st.permutations(["ant", "bee", "cat", "dog"]), st.integers(1, 4), st.data())
def test_each_class_of_the_data_becomes_the_models_class_of_that_name(model, size, data):
    names = data.draw(st.permutations(model))[:size]
    match = match_classes(model, names, 4)
    mapped = match(torch.arange(size))
    assert [model[index] for index in mapped.tolist()] == names
    assert match.is_identity == (names == model)
    assert bool(match.remark) == (names != model)


def test_a_part_of_the_classes_is_told_with_an_example():
    assert match_classes(MODEL, ["bee", "cat"], 3).remark == (
        "The data has 2 of the model's 3 classes; they are recognised by name: its class 0, 'bee', is the model's class 1."
    )
    assert match_classes(MODEL, ["ant", "bee"], 3).remark == (
        "The data has 2 of the model's 3 classes; they are recognised by name."
    )
    assert match_classes(MODEL, ["ant", "cat", "bee"], 3).remark == (
        "The data has the model's classes in another order; they are recognised by name: "
        "its class 1, 'cat', is the model's class 2."
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8])
def test_class_indices_keep_their_dtype(dtype):
    match = match_classes(MODEL, ["bee", "cat"], 3)
    mapped = match(torch.tensor([0, 1, 1], dtype=dtype))
    assert mapped.tolist() == [1, 2, 2]
    assert mapped.dtype == dtype


def test_numbers_of_the_datas_classes_come_in_the_models_order():
    assert match_classes(MODEL, ["cat", "ant"], 3).counts([7, 4]) == [4, 0, 7]


def test_ignored_rows_stay_ignored():
    assert match_classes(MODEL, ["bee", "cat"], 3)(torch.tensor([1, -100, 0])).tolist() == [2, -100, 1]


def test_a_distribution_over_the_datas_classes_becomes_one_over_the_models():
    mapped = match_classes(MODEL, ["cat", "ant"], 3)(torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
    assert mapped.tolist() == [[0.25, 0.0, 0.75], [1.0, 0.0, 0.0]]


def test_a_class_that_the_data_has_no_name_for_is_refused():
    with pytest.raises(ValueError, match=r"^target must hold class indices in \[0, 2\), got 2"):
        match_classes(MODEL, ["bee", "cat"], 3)(torch.tensor([2]))


def test_names_for_people_are_those_of_the_folders_in_their_order():
    match = match_classes(["Ant", "Bee"], ["n01", "n02"], 2)
    assert match.is_identity
    assert not match.by_name
    assert match.remark == (
        "The model knows none of the data's class names ('n01', …), so classes are taken by their index: "
        "class 0 is its 'Ant'."
    )


def test_two_classes_of_one_name_are_fine_where_the_order_is_the_same():
    names = ["cat", "crane", "dog", "crane"]
    assert match_classes(names, names, 4).is_identity


@pytest.mark.parametrize(
    ("model", "data", "sentence"),
    [
        (
            MODEL,
            ["bee", "cat", "dog"],
            "data must hold classes of the model only, got 'dog'. The model's classes are 'ant', 'bee', 'cat'.",
        ),
        (MODEL, ["Bee", "cat"], "data must hold classes of the model only, got 'Bee'. Did you mean 'bee'?"),
        (
            list("abcdefg"),
            ["x" * 200 + "\n"],
            f"data must hold classes of the model only, got '{'x' * 56}.... "
            "The model's classes are 'a', 'b', 'c', 'd', 'e' and 2 more.",
        ),
        (None, ["a", "b"], "num_classes must be 2, the number of classes of the data, got 3."),
        (
            ["cat", "crane", "crane"],
            ["cat", "crane"],
            "class_names must name each class of the model differently, got 'crane' 2 times. "
            "They are matched by name, since the data has other classes or another order than the model.",
        ),
        (
            MODEL,
            ["cat", "cat"],
            "class_names must name each class of the data differently, got 'cat' 2 times. "
            "They are matched by name, since the data has other classes or another order than the model.",
        ),
    ],
)
def test_what_cannot_be_matched_names_the_class(model, data, sentence):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        match_classes(model, data, 3 if model is None else len(model))
    assert str(raised.value) == sentence
