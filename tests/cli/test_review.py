"""``topk-lightning review``: from stored scores to a plan."""

from __future__ import annotations

import json

import numpy as np
import pytest

from topk_lightning.cli import main
from topk_lightning.decisions import ReviewPlan

NAMES = ["boston", "airedale", "beagle"]


@pytest.fixture
def scores(tmp_path):
    """100 images, sure of all but ten, which are wrong."""
    logits = np.tile(np.array([[9.0, 0.0, 0.0]], dtype="float32"), (100, 1))
    logits[90:] = [1.0, 0.9, 0.0]
    path = tmp_path / "validation.npz"
    np.savez(path, logits=logits, target=[0] * 90 + [1] * 10, class_names=NAMES)
    return path


def test_a_plan_is_fitted_said_and_written(scores, tmp_path, capsys):
    tree, out = tmp_path / "tree.csv", tmp_path / "plan.json"
    tree.write_text("boston,terrier\nairedale,terrier\nbeagle,hound\n")
    words = ["review", str(scores), "--test", str(scores), "--k", "2", "--hierarchy", str(tree), "--out", str(out)]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "With 95 % confidence at most 5 % of all pictures are accepted and wrong" in said
    assert "90 of 100 pictures need nobody (90 of 90 were right)" in said
    content = json.loads(out.read_text())
    plan = ReviewPlan.from_dict(content["review"])
    assert (plan.images, plan.k) == (100, 2)
    assert content["outcomes"]["test"] == content["outcomes"]["validation"]
    assert content["outcomes"]["test"]["accepted"] == 90
    assert content["roll_up"]["levels"]["group"]["names"] == ["hound", "terrier"]


def test_only_the_listed_classes_are_possible(scores, tmp_path, capsys):
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("boston\nbeagle\n")
    assert main(["review", str(scores), "--classes", str(allowed)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Only 2 of 3 classes are possible" in said
    assert "pictures like the 90 of the validation" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.npz"], "the scores must be an existing file or checkpoint, got 'nowhere.npz'."),
        (["{scores}", "--target-error", "2"], "target_error must lie between 0 and 1, got 2.0."),
        (["{scores}", "--k", "7"], "k must be at most the number of classes (3), got 7. Use a smaller k."),
    ],
)
def test_wrong_words_end_in_one_sentence(scores, capsys, words, sentence):
    assert main(["review", *(word.format(scores=scores) for word in words)]) != 0
    assert sentence in " ".join(capsys.readouterr().err.split())
