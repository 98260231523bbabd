"""Prediction sets of images: kept in a checkpoint, shown by predict_sets, written by the writer, void after training."""

from __future__ import annotations

import csv

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning import PredictionSets, TopKClassifier, TopKPredictionWriter, TrainedModel, predict_sets
from topk_lightning.cli import main
from topk_lightning.data import Preprocessing
from topk_lightning.prediction import save_prediction_sets

NAMES = ["ant", "bee", "cat", "dog"]
PREPARED = Preprocessing(16, mean=(0.5,) * 3, std=(0.5,) * 3).to_dict()
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    classifier = TopKClassifier("small_cnn", class_names=NAMES, preprocessing=PREPARED)
    path = classifier.save(tmp_path_factory.mktemp("sets") / "model.ckpt")
    images = torch.randn(60, 3, 16, 16)
    with torch.inference_mode():
        logits = classifier.eval()(images)
    target = torch.multinomial((20 * logits).softmax(1), 1).squeeze(1)
    save_prediction_sets(path, PredictionSets("aps", 0.7, temperature=0.05).fit(logits, target, class_names=NAMES))
    return path


def test_a_checkpoint_keeps_its_sets_for_any_promise(checkpoint):
    images = torch.randn(20, 3, 16, 16)
    model = TrainedModel.load(checkpoint)
    with torch.inference_mode(), model.evaluating():
        logits = model.logits(images)
    for coverage in (None, 0.5, 0.9):
        sets = model.fitted.sets if coverage is None else model.fitted.sets.at(coverage)
        assert predict_sets(checkpoint, images, coverage) == sets.predict(logits, NAMES)
    classifier = TopKClassifier.load_from_checkpoint(checkpoint)
    assert str(classifier.fitted.sets) == str(model.fitted.sets) == "PredictionSets('aps', 0.7, fitted on 60 images)"
    shown = [each.label for each in predict_sets(classifier, images[0], 0.9)]
    assert shown == [each.label for each in predict_sets(checkpoint, images, 0.9)[0]]


def test_the_writer_writes_as_many_rows_as_a_set_has_names(checkpoint, tmp_path):
    images = torch.randn(12, 3, 16, 16)
    classifier = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    path = tmp_path / "sets.csv"
    trainer = pl.Trainer(accelerator="cpu", callbacks=[TopKPredictionWriter(path, coverage=0.6)], **QUIET)
    trainer.predict(classifier, DataLoader(TensorDataset(images), batch_size=5))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    expected = [
        (str(place), str(rank), each.label)
        for place, row in enumerate(predict_sets(checkpoint, images, 0.6))
        for rank, each in enumerate(row, 1)
    ]
    assert [(row["image"], row["rank"], row["class"]) for row in rows] == expected
    assert classifier.shown is None


def test_an_empty_set_is_a_row_without_a_class(tmp_path):
    class Given(pl.LightningModule):
        def predict_step(self, batch, batch_idx):
            return batch[0]

    logits = torch.tensor([[9.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 9.0, 0.0]])
    sets = PredictionSets("lac", 0.6, allow_empty=True).fit(logits[[0, 2]].repeat(5, 1), torch.tensor([0, 1] * 5))
    trainer = pl.Trainer(accelerator="cpu", callbacks=[TopKPredictionWriter(tmp_path / "p.csv", sets=sets)], **QUIET)
    trainer.predict(Given(), DataLoader(TensorDataset(logits), batch_size=3))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in lines[1:]] == ["0,1,0", "1,0,", "2,1,1"]


def test_training_makes_sets_void(checkpoint, tmp_path):
    classifier = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    data = DataLoader(TensorDataset(torch.randn(8, 3, 16, 16), torch.arange(8) % 4), batch_size=4)
    trainer = pl.Trainer(accelerator="cpu", max_steps=1, **QUIET)
    trainer.fit(classifier, data, data)
    assert TrainedModel.load(classifier.save(tmp_path / "more.ckpt")).fitted.sets is None


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (20, 20), "orange").save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_predict_shows_the_set_and_says_what_is_missing(checkpoint, picture, tmp_path, capsys):
    assert main(["predict", str(checkpoint), picture, "--coverage", "0.9", "--format", "csv"]) == 0
    shown = [line.split(",")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == [each.label for each in predict_sets(checkpoint, picture, 0.9)]
    plain = TopKClassifier("small_cnn", class_names=NAMES, preprocessing=PREPARED)
    plain = plain.save(tmp_path / "plain.ckpt")
    wrong = {
        (
            "0.9",
            plain,
        ): f"the model must have prediction sets fitted for it, got none. Run topk-lightning sets {plain} first.",
        (
            "1",
            checkpoint,
        ): "--coverage must lie between 0 and 1, got 1.0. The right name is always among all names alone.",
    }
    for (coverage, path), sentence in wrong.items():
        assert main(["predict", str(path), picture, "--coverage", coverage]) != 0
        assert sentence in " ".join(capsys.readouterr().err.split())
