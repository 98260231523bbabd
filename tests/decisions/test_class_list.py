"""Only the classes that live here: Bayes' rule, files, and what is refused."""

from __future__ import annotations

import pytest
import torch

from topk_lightning.decisions import ClassList
from topk_lightning.scores import Scores

NAMES = ["lion", "lynx", "wolf", "a, b"]


def test_probabilities_are_those_of_bayes_rule():
    probability = torch.tensor([[0.5, 0.2, 0.2, 0.1]], dtype=torch.float64)
    winter = ClassList.of({"lion": 0, "lynx": 1, "wolf": 0.5, "a, b": 4}, NAMES)
    weighted = [1 * 0.2, 0.5 * 0.2, 4 * 0.1]
    assert winter.class_names == ("lynx", "wolf", "a, b")
    assert winter.logits(probability.log()).softmax(1)[0].tolist() == pytest.approx(
        [w / sum(weighted) for w in weighted]
    )


def test_a_list_keeps_scores_bit_by_bit():
    logits = torch.randn(5, 4, dtype=torch.float16)
    assert ClassList.of(["wolf", "lion"], NAMES).logits(logits).equal(logits[:, [0, 2]])


def test_images_of_other_classes_are_left_out():
    scores = Scores(torch.eye(4), [0, 1, 2, 3], kind="logits", ids=list("wxyz"))
    here = ClassList.of(["lynx", "a, b"], NAMES).scores(scores)
    assert here.target.tolist() == [0, 1]
    assert list(here.ids) == ["x", "z"]
    assert here.names == ["lynx", "a, b"]
    with pytest.raises(ValueError, match=r"scores must hold an image of an allowed class, got none\."):
        ClassList.of(["lion"], NAMES).scores(Scores(torch.eye(4)[1:], [1, 2, 3], kind="logits"))


def test_a_file_names_classes_or_weights(tmp_path):
    path = tmp_path / "allowed.txt"
    path.write_text('lynx\n\n"a, b"\n', encoding="utf-8")
    assert ClassList.of(path, NAMES) == ClassList.of(["lynx", "a, b"], NAMES)
    path.write_text('class,weight\nlynx,2\n"a, b",0.5\nwolf,0\n', encoding="utf-8-sig")
    assert ClassList.of(str(path), NAMES) == ClassList.of({"a, b": 0.5, "lynx": 2}, NAMES)
    assert "2 of 4 classes are possible, each by its weight" in ClassList.of(path, NAMES).sentence


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["lyns"], r"classes must name classes of the model, got 'lyns'\. Its classes are 'lion', .*"),
        (["lynx", "lynx"], r"classes must name each class once, got 'lynx' twice in the list\."),
        ({"lynx": -1}, r"the weight of 'lynx' must be at least 0, got -1\."),
        ({"lynx": 0}, r"classes must leave at least one class, got none\."),
        ([], r"classes must leave at least one class, got none\."),
        (3, r"classes must be names, a dict \{name: weight\} or a file, got int\."),
        ("nowhere.txt", r"classes must be an existing file, got 'nowhere\.txt'\."),
    ],
)
def test_what_is_no_list_is_named(given, sentence):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=sentence):
        ClassList.of(given, NAMES)


def test_a_line_that_says_something_else_is_named(tmp_path):
    path = tmp_path / "allowed.txt"
    path.write_text("lynx\na, b\n")
    with pytest.raises(
        ValueError, match=r"line 2 of .*allowed.txt must hold a class, or class,weight, got 'a, b'\. .*"
    ):
        ClassList.of(path, NAMES)
