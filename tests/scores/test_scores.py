"""Scores from memory: what they hold is said, never guessed, and read block by block."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from topk_lightning._checks import UserError
from topk_lightning.ranking import target_rank, topk_indices
from topk_lightning.scores import Scores


def made(rows=50, classes=7, dtype=torch.float32, **options):
    generator = torch.Generator().manual_seed(rows)
    values = torch.randn(rows, classes, generator=generator).to(dtype)
    return Scores(values, torch.arange(rows) % classes, kind="logits", **options)


def test_the_blocks_are_the_rows_whatever_their_size():
    scores = made(sample_weight=torch.arange(50.0))
    for rows in (None, 1, 7, 50, 99):
        blocks = list(scores.blocks(rows=rows))
        assert torch.equal(torch.cat([block.values for block in blocks]), scores.values)
        assert torch.equal(torch.cat([block.target for block in blocks]), scores.target)
        assert torch.equal(torch.cat([block.sample_weight for block in blocks]), scores.sample_weight)
        assert [block.start for block in blocks] == list(range(0, 50, rows or 50))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ranks_and_best_classes_are_those_of_the_order_rule(dtype):
    scores = made(dtype=dtype)
    scores.values[3, 2] = torch.nan
    scores.values[4] = 1
    assert torch.equal(scores.target_ranks(), target_rank(scores.values, scores.target))
    assert torch.equal(scores.topk(3), topk_indices(scores.values, 3))
    assert torch.equal(scores.hits(2), target_rank(scores.values, scores.target) < 2)


def test_arrays_share_their_memory():
    array = np.zeros((3, 4), np.float16)
    assert Scores(array, kind="logits").values.data_ptr() == array.ctypes.data
    array.flags.writeable = False
    assert Scores(array, kind="logits").values.data_ptr() == array.ctypes.data
    assert Scores(array.astype(">f4") + 1, kind="logits").values.unique().tolist() == [1]


def test_logits_of_probabilities_keep_order_and_probabilities():
    tiny = torch.tensor([[1e-40, 2e-40, 1.0], [0.25, 0.25, 0.5]])
    (block,) = Scores(tiny, kind="probabilities").blocks()
    assert torch.equal(topk_indices(block.logits, 3), topk_indices(tiny, 3))
    torch.testing.assert_close(block.log_probabilities().exp(), tiny.double(), rtol=1e-6, atol=0)


def test_the_best_alone_answer_hits_up_to_k():
    whole = made()
    best = whole.topk(3)
    values = whole.values.gather(1, best)
    topk = Scores.of_topk(best, values, whole.target, kind="logits", class_names=list("abcdefg"))
    for k in (1, 2, 3):
        assert torch.equal(topk.hits(k), whole.hits(k))
    remedy = "They answer how often the class is among the first k, up to 3."
    sentence = f"scores must hold the scores of all classes for k = 4, got the 3 best of each row. {remedy}"
    with pytest.raises(ValueError, match="^" + sentence.replace(".", r"\.") + "$"):
        topk.hits(4)
    with pytest.raises(ValueError, match="scores of all classes for calibration"):
        list(topk.blocks("calibration"))


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (([[1.0]], [0]), {"kind": "raw"}, "kind must be one of 'logits', 'probabilities', got 'raw'."),
        (([[1, 2]], [0]), {}, "values must hold scores of a float dtype, got torch.int64."),
        (([["a"]], [0]), {}, "values must be a tensor or an array of numbers, got list."),
        (([1.0, 2.0], [0]), {}, "values must have shape (N, C) of at least one row and one class, got (2,)."),
        (([[1.0, 2.0]], [2]), {}, "target must hold class indices in [0, 2), got 2. Class indices start at 0."),
        (([[1.0, 2.0]], [0, 1]), {}, "target must have shape (1,), one class an image, got (2,)."),
        (
            ([[1.0, 2.0]], [[0]]),
            {},
            "target must have shape (1,), one class an image, got (1, 1). Did you mean target.squeeze(1)?",
        ),
        (([[1.0, 2.0]], [0.0]), {}, "target must be of an integer dtype, got torch.float64."),
        (([[1.0], [2.0]], [0, 0]), {"ids": ["a", "a"]}, "ids must name each image differently, got 'a' twice."),
        (([[1.0]], [0]), {"ids": ["a", "b"]}, "ids must hold 1 names, one an image, got 2."),
        (([[1.0]], [0]), {"class_names": ["a", "b"]}, "class_names must hold 1 names, one a class, got 2."),
        (([[1.0]], [0]), {"sample_weight": [-1.0]}, "sample_weight must be finite and at least 0, got -1.0."),
    ],
)
def test_wrong_input_gets_one_sentence(arguments, options, sentence):
    with pytest.raises(UserError) as error:
        Scores(*arguments, **{"kind": "logits", **options})
    assert str(error.value) == sentence


def test_logits_called_probabilities_are_refused():
    (block,) = Scores([[2.0, 1.0]], kind="probabilities").blocks()
    sentence = 'scores must hold probabilities, rows ≥ 0 that sum to 1, got a row 0 with minimum 1 and sum 3. Did you mean kind="logits"?'
    with pytest.raises(ValueError) as error:  # noqa: PT011
        _ = block.logits
    assert str(error.value) == sentence


def test_questions_of_labels_need_one_label_an_image():
    with pytest.raises(ValueError, match=r"^scores must have a target for the rank of the target, got none\.$"):
        Scores([[1.0]], kind="logits").target_ranks()
    soft = Scores([[1.0, 2.0]], torch.tensor([[0.5, 0.5]]), kind="logits")
    with pytest.raises(ValueError, match="one class an image"):
        soft.hits(1)


def test_progress_counts_the_rows():
    scores, seen = made(), []
    scores.progress = lambda done, total: seen.append((done, total))
    list(scores.blocks(rows=20))
    assert seen == [(20, 50), (40, 50), (50, 50)]
