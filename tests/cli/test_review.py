"""``topk-lightning review``: from stored scores to a plan."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from topk_lightning import EmojiDataModule, TopKClassifier, TrainedModel
from topk_lightning.cli import main
from topk_lightning.decisions import ClassList, Costs, ReviewPlan
from topk_lightning.report import score_images

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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Twelve emoji; what the network says is of no matter here."""
    data = EmojiDataModule(32, 12, classes=12)
    data.setup()
    torch.manual_seed(0)
    classifier = TopKClassifier("small_cnn", class_names=data.class_names, preprocessing=data.preprocessing.to_dict())
    return classifier.save(tmp_path_factory.mktemp("review") / "model.ckpt")


def test_a_plan_of_a_checkpoint_is_kept_in_it_with_the_groups_of_its_data(checkpoint, tmp_path, capsys):
    out = tmp_path / "plan.json"
    words = ["--target-error", "0.97", "--costs", "wrong=10,person=1,name=0.1", "--out", str(out)]
    assert main(["review", str(checkpoint), *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    content = json.loads(out.read_text())
    fitted = TrainedModel.load(checkpoint).fitted
    assert fitted.plan.to_dict() == content["review"]
    assert fitted.plan.costs == Costs(10, 1, 0.1)
    assert list(fitted.sure.levels) == ["subcategory", "category"]
    assert fitted.sure.threshold == (
        content["roll_up"]["threshold"] if content["roll_up"]["threshold"] is not None else math.inf
    )
    assert [row["review"] for row in content["accuracy_by_review"]] == [number / 10 for number in range(11)]
    assert content["accuracy_by_review"][10]["accuracy"] == 1
    assert "Of lists alone the cheapest has" in said
    assert "predict" in said


def test_the_possible_classes_are_those_of_test_sets_and_predict(checkpoint, tmp_path, capsys):
    names = TrainedModel.load(checkpoint).class_names
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("".join(f"{name}\n" for name in names[:4]))
    words = ["--classes", str(allowed)]
    assert main(["test", str(checkpoint), *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Only 4 of 12 classes are possible" in said
    assert "8 of 12 images are of other classes and are left out." in said
    scores = ClassList.of(names[:4], names).scores(score_images(checkpoint, EmojiDataModule(32, 12, classes=names)))
    assert f"{float((scores.target_ranks() == 0).double().mean()):.3f}" in said
    with pytest.warns(UserWarning, match="All names are shown"):
        assert main(["sets", str(checkpoint), *words]) == 0
    capsys.readouterr()
    picture = tmp_path / "a.png"
    data = EmojiDataModule(32, 12, classes=names)
    data.setup()
    data.pictures("test", [0])[0].save(picture)
    assert main(["predict", str(checkpoint), str(picture), "--coverage", "0.9", "--format", "csv", *words]) == 0
    assert {line.split(",")[2] for line in capsys.readouterr().out.splitlines()[1:]} == set(names[:4])
    assert main(["predict", str(checkpoint), str(picture), "--coverage", "0.9"]) != 0
    assert "must be fitted for the classes that are possible, got a list of 4 classes." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.npz"], "scores must be existing files or folders, got 'nowhere.npz'."),
        (["{scores}", "--target-error", "2"], "target_error must lie between 0 and 1, got 2.0."),
        (
            ["{scores}", "--costs", "wrong=1,persn=2"],
            "--costs must say what wrong, person and name cost, got 'persn=2'.",
        ),
        (["{scores}", "--k", "7"], "k must be at most the number of classes (3), got 7. Use a smaller k."),
    ],
)
def test_wrong_words_end_in_one_sentence(scores, capsys, words, sentence):
    assert main(["review", *(word.format(scores=scores) for word in words)]) != 0
    assert sentence in " ".join(capsys.readouterr().err.split())
