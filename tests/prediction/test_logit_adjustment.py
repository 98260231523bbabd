"""Scores of a trained model as if its classes had been equally frequent: in prediction, in the report, on the command line."""

import json
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

pytest.importorskip("torchvision")

from PIL import Image

from topk_lightning import (
    LogitAdjusted,
    LogitAdjustedCrossEntropyLoss,
    PredictionSets,
    Preprocessing,
    SmallCNN,
    SmoothTopKSVMLoss,
    TopKClassifier,
    TrainedModel,
    predict_sets,
    predict_topk,
)
from topk_lightning.cli import main
from topk_lightning.data import TrainingData
from topk_lightning.losses import adjust_logits
from topk_lightning.prediction import Fitted
from topk_lightning.report import write_report

NAMES = ["ant", "bee", "cat"]
COUNTS = [1, 9, 90]
PREPROCESSING = Preprocessing(16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5)).to_dict()


def classifier(**options):
    return TopKClassifier(SmallCNN(3, width=2), class_names=NAMES, preprocessing=PREPROCESSING, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint that keeps its counts, and two test images a class."""
    root = tmp_path_factory.mktemp("adjusted")
    for index, name in enumerate(NAMES):
        (root / "images" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 20), (80 * index, 100 * number, 0)).save(root / "images" / name / f"{number}.png")
    torch.manual_seed(0)
    model = classifier()
    model.training_data = TrainingData(class_counts=COUNTS)
    model.save(root / "model.ckpt")
    return root


def expected(root, strength):
    """Return the adjusted probabilities of each image, computed from the plain logits."""
    model = TrainedModel.load(root / "model.ckpt")
    images = torch.stack([model.prepare(path) for path in sorted((root / "images").rglob("*.png"))])
    with model.evaluating(), torch.no_grad():
        return adjust_logits(model.logits(images), COUNTS, strength).softmax(1)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_prediction_adjusts_by_the_counts_of_the_checkpoint(folder, strength):
    rows = predict_topk(folder / "model.ckpt", folder / "images", 3, logit_adjustment=strength)
    found = [[p.probability for p in sorted(row, key=lambda p: p.index)] for row in rows]
    torch.testing.assert_close(torch.tensor(found), expected(folder, strength))


def test_strength_0_changes_nothing(folder):
    plain = predict_topk(folder / "model.ckpt", folder / "images", 3)
    assert predict_topk(folder / "model.ckpt", folder / "images", 3, logit_adjustment=0.0) == plain


def test_a_model_that_was_adjusted_when_loaded_stays_so_and_counts_may_be_given(folder):
    given = TrainedModel.load(nn.Flatten(), class_names=NAMES, logit_adjustment=1.0, class_counts=COUNTS)
    again = TrainedModel.load(given)
    for model in (given, again):
        best = predict_topk(model, torch.zeros(3, 1, 1), 3)
        assert [p.label for p in best] == ["ant", "bee", "cat"]
        # 1, 1/9 and 1/90 in units of their sum.
        assert [p.probability for p in best] == pytest.approx([90 / 101, 10 / 101, 1 / 101])


def test_the_report_measures_the_adjusted_scores_and_says_so(folder, tmp_path):
    page = write_report(folder / "model.ckpt", folder / "images", tmp_path / "report.html", logit_adjustment=1.0)
    assert "<dt>Logits adjusted</dt><dd>for 1 to 90 training images a class, strength 1</dd>" in page.read_text()
    # So rare a class that every image is taken for it, which none is without the adjustment.
    assert (expected(folder, 1.0).argmax(1) == 0).all()
    assert not (expected(folder, 0.0).argmax(1) == 0).any()
    (first, *_) = json.loads((tmp_path / "report.json").read_text())["sections"]["findings"]["findings"]
    assert first["sentence"].startswith('"ant" takes 100 % of all guesses (6 of 6)')


def test_the_command_line_gives_the_same_answers(folder, tmp_path, capsys):
    words = [str(folder / "model.ckpt"), "--logit-adjustment", "0.5"]
    assert main(["predict", *words, str(folder / "images"), "--k", "1", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    best = expected(folder, 0.5).max(1)
    assert [row["predictions"][0]["index"] for row in rows] == best.indices.tolist()
    assert [row["predictions"][0]["probability"] for row in rows] == pytest.approx(best.values.tolist())
    out = tmp_path / "report.html"
    assert main(["report", *words, "--data", str(folder / "images"), "--out", str(out)]) == 0
    assert "training images a class, strength 0.5</dd>" in out.read_text()
    picture = sorted((folder / "images").rglob("*.png"))[-1]
    assert main(["trace", *words, str(picture), "--k", "1"]) == 0
    assert f"{best.values[-1]:.3f}" in capsys.readouterr().out
    assert main(["serve", *words, "--coverage", "0.9", "--port", "0"]) == 1


def test_sets_of_a_checkpoint_promise_nothing_for_adjusted_scores(folder):
    model = TrainedModel.load(folder / "model.ckpt", logit_adjustment=0.5)
    image = torch.zeros(3, 16, 16)
    sets = PredictionSets("lac").fit(torch.eye(3).repeat(40, 1), torch.arange(3).repeat(40))
    with_sets = replace(model, fitted=Fitted(sets=sets))
    sentence = "logit_adjustment must be 0 with prediction sets of the checkpoint, got another strength. They promise for its scores as they are."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        predict_sets(with_sets, image, 0.9)
    assert predict_sets(with_sets, image, 0.9, sets=sets)  # fitted for these scores, says who passes them
    create_app = pytest.importorskip("topk_lightning.serving", reason="starlette is not installed").create_app
    with pytest.raises(ValueError, match=r"^logit_adjustment must be 0 with prediction sets"):
        create_app(with_sets, coverage=0.9)


@pytest.mark.parametrize(
    "command", [["predict", "images"], ["report", "--data", "images"], ["trace", "images/ant/0.png"]]
)
def test_a_wrong_strength_is_a_wrong_call(command, folder, capsys):
    words = [command[0], str(folder / "model.ckpt"), *command[1:-1], str(folder / command[-1])]
    assert main([*words, "--logit-adjustment", "-1"]) == 2
    assert "--logit-adjustment must be a finite number of at least 0, got -1.0." in capsys.readouterr().err


@pytest.mark.parametrize(
    "loss", [LogitAdjustedCrossEntropyLoss(COUNTS), LogitAdjusted(SmoothTopKSVMLoss(), COUNTS)], ids=["loss", "wrapper"]
)
def test_what_was_adjusted_in_training_is_not_adjusted_again(loss, tmp_path):
    model = classifier(loss=loss)
    model.training_data = TrainingData(class_counts=COUNTS)
    sentence = (
        "logit_adjustment must be 0 for this model, got 1.0. The loss adjusted the training already: use the logits as "
        "they are."
    )
    for trained in (model, model.save(tmp_path / "model.ckpt")):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            TrainedModel.load(trained, logit_adjustment=1.0)


def test_counts_that_are_not_known_are_asked_for():
    sentence = (
        "class_counts must be known for logit_adjustment, got None. Pass the training images of each class: "
        "TrainedModel.load(..., class_counts=[...])."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        TrainedModel.load(classifier(), logit_adjustment=1.0)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ([1, 2], r"^class_counts must have shape \(3,\), one count a class, got \(2,\)\.$"),
        ([3, 2, 0], r"^class_counts must be at least 1 for each class, got 0\. Leave out a class without"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts, sentence):
    model = TrainedModel.load(nn.Flatten(), logit_adjustment=1.0, class_counts=counts)
    with pytest.raises(ValueError, match=sentence):
        predict_topk(model, torch.zeros(3, 1, 1), 1)
