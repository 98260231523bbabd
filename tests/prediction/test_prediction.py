"""topk_predictions: names and probabilities from outputs."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from topk_lightning.prediction import TopKPrediction, topk_predictions
from topk_lightning.ranking import topk_indices

NAMES = ["ant", "bee", "cat", "dog"]


def test_a_prediction_unpacks_as_label_and_probability():
    prediction = TopKPrediction(label="cat", index=2, probability=0.75)
    label, probability = prediction
    assert (label, probability) == ("cat", 0.75)
    assert prediction.index == 2
    assert dict([prediction]) == {"cat": 0.75}


def test_a_prediction_is_a_value():
    prediction = TopKPrediction("cat", 2, 0.75)
    assert pickle.loads(pickle.dumps(prediction)) == copy.deepcopy(prediction) == prediction
    assert prediction != TopKPrediction("cat", 2, 0.5)
    assert len({prediction, TopKPrediction("cat", 2, 0.75)}) == 1
    assert repr(prediction) == "TopKPrediction(label='cat', index=2, probability=0.75)"
    with pytest.raises(
        AttributeError, match=r"^the index of a TopKPrediction must stay as it is, got an assignment\.$"
    ):
        prediction.index = 3


def test_logits_become_probabilities_by_a_softmax():
    logits = [math.log(1.0), math.log(2.0), math.log(5.0), math.log(2.0)]
    best = topk_predictions(logits, NAMES, k=3, input="logits")
    assert [p.label for p in best] == ["cat", "bee", "dog"]  # of the tie, the lower index
    assert [p.probability for p in best] == pytest.approx([5 / 10, 2 / 10, 2 / 10])


def test_probabilities_are_shown_as_they_are():
    best = topk_predictions([0.1, 0.6, 0.1, 0.2], NAMES, k=2, input="probabilities")
    assert best == (TopKPrediction("bee", 1, 0.6), TopKPrediction("dog", 3, 0.2))


def test_what_the_outputs_are_is_never_guessed():
    with pytest.raises(TypeError, match="input"):
        topk_predictions([0.4, 0.6], k=1)
    with pytest.raises(ValueError, match=r"^input must be one of 'logits', 'probabilities', got 'scores'.$"):
        topk_predictions([0.4, 0.6], k=1, input="scores")


def test_one_row_gives_one_tuple_and_a_batch_a_list_also_of_one():
    row = torch.tensor([0.0, 3.0, 1.0, 2.0])
    single = topk_predictions(row, NAMES, k=2, input="logits")
    assert isinstance(single, tuple)
    assert topk_predictions(row[None], NAMES, k=2, input="logits") == [single]
    assert topk_predictions(row[None][:0], NAMES, k=2, input="logits") == []


def test_without_names_the_label_is_the_index_as_text():
    assert [p.label for p in topk_predictions([0.0, 3.0, 1.0], k=3, input="logits")] == ["1", "2", "0"]


@pytest.mark.parametrize("names", [NAMES, dict(enumerate(NAMES)), {name: i for i, name in enumerate(NAMES)}])
def test_names_come_as_list_or_mapping_either_way(names):
    assert topk_predictions([0.0, 3.0, 1.0, 2.0], names, k=1, input="logits")[0].label == "bee"


class ArrayLike:
    """What a TensorFlow tensor looks like: an array interface and nothing of torch."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.values


def read_only(values):
    array = np.asarray(values, dtype=np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "convert",
    [
        list,
        np.asarray,
        read_only,
        ArrayLike,
        lambda v: np.asarray(v)[::1],
        lambda v: np.asarray(v, dtype=np.float16),
        lambda v: torch.tensor(v, requires_grad=True),
        lambda v: torch.tensor(v, dtype=torch.bfloat16),
        lambda v: torch.tensor(v, dtype=torch.float16),
    ],
)
def test_outputs_of_any_library_give_the_same_classes(convert):
    best = topk_predictions(convert([0.0, 3.0, 1.0, 2.0]), NAMES, k=3, input="logits")
    total = 1 + math.exp(3) + math.exp(1) + math.exp(2)
    assert [p.label for p in best] == ["bee", "dog", "cat"]
    assert best[0].probability == pytest.approx(math.exp(3) / total, rel=1e-6)


def test_order_follows_the_raw_scores_where_probabilities_are_equal():
    # Both round to a probability of 0 in float32; the scores still differ.
    logits = torch.tensor([[1000.0, -500.0, -400.0]])
    best = topk_predictions(logits, k=3, input="logits")[0]
    assert [p.index for p in best] == [0, 2, 1]
    assert [p.probability for p in best] == [1.0, 0.0, 0.0]


def test_float64_stays_float64():
    logits = torch.tensor([0.0, 1e-12], dtype=torch.float64)
    best = topk_predictions(logits, k=2, input="logits")
    assert best[0].index == 1
    assert best[0].probability > 0.5


def test_the_order_is_the_order_rule_on_ties():
    scores = torch.randint(0, 3, (50, 9), generator=torch.Generator().manual_seed(0)).float()
    best = topk_predictions(scores, k=4, input="logits")
    assert [[p.index for p in row] for row in best] == topk_indices(scores, 4).tolist()


def test_masked_classes_have_probability_zero():
    best = topk_predictions([0.0, -math.inf], k=2, input="logits")
    assert [tuple(p) for p in best] == [("0", 1.0), ("1", 0.0)]


PROBABILITY_REMEDY = (
    'For raw outputs say input="logits"; independent (sigmoid) scores of several labels are no distribution.'
)


@pytest.mark.parametrize(
    ("outputs", "options", "error", "message"),
    [
        (
            [0.1, math.nan],
            {"input": "logits"},
            ValueError,
            "outputs must hold no NaN, got one in row 0. The model has diverged or its input was not finite.",
        ),
        (
            [[0.0, 0.0], [math.inf, 0.0]],
            {"input": "logits"},
            ValueError,
            "outputs must have a finite maximum in each row to become probabilities, got inf in row 1.",
        ),
        (
            [[-math.inf, -math.inf]],
            {"input": "logits"},
            ValueError,
            "outputs must have a finite maximum in each row to become probabilities, got -inf in row 0.",
        ),
        (
            [[0.5, 0.5], [-0.5, 1.5]],
            {"input": "probabilities"},
            ValueError,
            f"outputs must be probabilities in [0, 1], got -0.5 in row 1. {PROBABILITY_REMEDY}",
        ),
        (
            [3.0, 0.0],
            {"input": "probabilities"},
            ValueError,
            f"outputs must be probabilities in [0, 1], got 3 in row 0. {PROBABILITY_REMEDY}",
        ),
        (
            [0.75, 0.75],
            {"input": "probabilities"},
            ValueError,
            f"outputs must be probabilities that sum to 1, got 1.5 in row 0. {PROBABILITY_REMEDY}",
        ),
        (
            [0.5, 0.5],
            {"input": "probabilities", "k": 3},
            ValueError,
            "k must be at most the number of classes (2), got 3. Use a smaller k.",
        ),
        (
            [0.5, 0.5],
            {"input": "probabilities", "class_names": ["ant"]},
            ValueError,
            "class_names must hold 2 names, one a class, got 1.",
        ),
        (
            torch.zeros(2, 3, 4),
            {"input": "logits"},
            ValueError,
            "outputs must have shape (C,) or (N, C), got (2, 3, 4).",
        ),
        (torch.tensor(1.0), {"input": "logits"}, ValueError, "outputs must have shape (C,) or (N, C), got ()."),
        (torch.tensor([True]), {"input": "logits"}, TypeError, "outputs must hold real scores, got torch.bool."),
        (
            "cat",
            {"input": "logits"},
            TypeError,
            "outputs must be a tensor, an array or a list of numbers, got str.",
        ),
    ],
)
def test_outputs_that_cannot_be_shown_are_refused(outputs, options, error, message):
    with pytest.raises(error) as raised:
        topk_predictions(outputs, **{"k": 1, **options})
    assert str(raised.value) == message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_probabilities_may_be_rounded_as_their_dtype_rounds(dtype):
    rows = torch.rand(20, 1000, generator=torch.Generator().manual_seed(0)).softmax(1).to(dtype)
    assert len(topk_predictions(rows, k=5, input="probabilities")) == 20


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("ab", TypeError, "class_names must be a list of names, {index: name} or {name: index}, got str."),
        ({0: "a", 2: "b"}, ValueError, "class_names must name every index from 0 to 1, got none for 1."),
        ({"a": 0, "b": 0}, ValueError, "class_names must give each index to one name, got index 0 twice."),
        (["a", 1], TypeError, "class_names must hold texts, got 1 of type int."),
    ],
)
def test_names_that_name_no_classes_are_refused(names, error, message):
    with pytest.raises(error) as raised:
        topk_predictions([0.5, 0.5], names, k=1, input="probabilities")
    assert str(raised.value) == message


def test_arrays_of_the_other_byte_order_give_the_same_classes():
    values = [[0.1, 0.6, 0.1, 0.2]]
    for dtype in (">f4", "<f4", ">f8", ">i2"):
        array = (np.array(values) * 10).astype(dtype)
        assert [p.label for p in topk_predictions(array, NAMES, k=2, input="logits")[0]] == ["bee", "dog"]


@pytest.mark.parametrize(
    "array", [np.array([1, "x"], dtype=object), np.array(["1"]), np.array([1], dtype=np.longdouble)]
)
def test_arrays_that_torch_does_not_know_are_refused(array):
    with pytest.raises(TypeError) as raised:
        topk_predictions(array, k=1, input="logits")
    found = f"an array of {array.dtype.name}"
    assert str(raised.value) == f"outputs must be a tensor, an array or a list of numbers, got {found}."


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("library", [np, torch])
def test_unsigned_outputs_wider_than_a_byte_are_refused(library, bits):
    convert = np.array if library is np else torch.tensor
    with pytest.raises(TypeError) as raised:
        topk_predictions(convert([1, 2], dtype=getattr(library, f"uint{bits}")), k=1, input="logits")
    wanted = f"outputs must be signed or floating-point scores, got torch.uint{bits}. Convert them first."
    assert str(raised.value) == wanted


def test_probabilities_in_a_list_may_be_rounded_to_three_digits():
    assert len(topk_predictions([0.333, 0.333, 0.333], k=3, input="probabilities")) == 3
    with pytest.raises(ValueError, match=r"sum to 1, got 0\.997 in row 0"):
        topk_predictions([0.333, 0.332, 0.332], k=3, input="probabilities")


def test_names_that_several_classes_have_are_told_apart_by_their_index():
    row = topk_predictions([3.0, 2.0, 1.0], ["crane", "heron", "crane"], input="logits")
    assert [p.label for p in row] == ["crane (0)", "heron", "crane (2)"]
