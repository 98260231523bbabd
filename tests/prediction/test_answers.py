"""What is said of images by what was fitted: piles, the sure level, sets that are a group, possible classes."""

from __future__ import annotations

import csv
import json

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning import PredictionSets, TopKClassifier, TopKPredictionWriter, TrainedModel, export_model
from topk_lightning._checks import UserError
from topk_lightning.cli import main
from topk_lightning.data import Preprocessing
from topk_lightning.decisions import PILES, ClassList, ReviewPlan, RollUp
from topk_lightning.prediction import Decider, predict_answers, predict_topk, save_fitted

NAMES = ["boston", "airedale", "beagle", "basset"]
KINDS = {"boston": "terrier", "airedale": "terrier", "beagle": "hound", "basset": "hound"}
PREPARED = Preprocessing(16, mean=(0.5,) * 3, std=(0.5,) * 3).to_dict()
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
PLAN = ReviewPlan(0.6, 0.9, 2, 0.05, "all", 0.95, 100, 4)
LOGITS = torch.tensor([[3.0, 0.0, 0.0, 0.0], [2.0, 1.9, -2.0, -2.0], [0.1, 0.0, 0.1, 0.0], [0.0, 0.0, 3.0, 2.9]])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    classifier = TopKClassifier("small_cnn", class_names=NAMES, preprocessing=PREPARED)
    path = classifier.save(tmp_path_factory.mktemp("answers") / "model.ckpt")
    sets = PredictionSets(coverage=0.9).fit(LOGITS.repeat(5, 1), torch.arange(4).repeat(5))
    save_fitted(path, plan=PLAN, sure=RollUp.at(0.3, KINDS, NAMES), sets=sets)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(("orange", "navy", "black", "white")):
        Image.new("RGB", (20, 20), colour).save(folder / f"{number}.png")
    return folder


def test_all_is_said_on_plain_arrays():
    sets = PredictionSets(coverage=0.5).fit(LOGITS.repeat(5, 1), torch.tensor([0, 1, 2, 3]).repeat(5))
    levels = RollUp.at(0.8, KINDS, NAMES).levels
    said = Decider(NAMES, sets=sets, plan=PLAN, sure=RollUp.at(0.8, KINDS, NAMES), levels=levels)(LOGITS)
    assert [each.pile for each in said] == ["accept", "list", "person", "list"]
    assert [(each.sure.level, each.sure.label) for each in said] == [
        ("class", "boston"),
        ("group", "terrier"),
        (None, ""),
        ("group", "hound"),
    ]
    shown = [{p.label for p in each.predictions} for each in said]
    whole = {("boston", "airedale"): ("group", "terrier"), ("beagle", "basset"): ("group", "hound")}
    assert [each.group for each in said] == [
        next((group for names, group in whole.items() if set(names) == row), None) for row in shown
    ]
    assert said[3].group == ("group", "hound")
    for each, p in zip(said, LOGITS.softmax(1), strict=True):
        group = p[:2].sum() if p[:2].sum() > p[2:].sum() else p[2:].sum()
        assert [level for level, _, _ in each.sure.by_level] == ["class", "group"]
        assert [share for *_, share in each.sure.by_level] == pytest.approx([float(p.max()), float(group)], rel=1e-5)


def test_possible_classes_come_before_everything_else_and_keep_their_index():
    here = ClassList.of({"basset": 3, "airedale": 1}, NAMES)
    decide = Decider(NAMES, classes=here, plan=ReviewPlan(0.7, 2, 2, 0.05, "all", 0.95, 100, 2))
    said = decide(torch.zeros(1, 4))[0]
    assert [(p.label, p.index, round(p.probability, 6)) for p in said.predictions] == [
        ("basset", 3, 0.75),
        ("airedale", 1, 0.25),
    ]
    assert said.pile == "accept"
    assert decide(torch.zeros(1, 4).softmax(1), kind="probabilities")[0].predictions[0].label == "basset"


def test_a_checkpoint_keeps_what_was_fitted_until_it_is_trained(checkpoint, tmp_path):
    images = torch.randn(6, 3, 16, 16)
    model = TrainedModel.load(checkpoint)
    with torch.inference_mode(), model.evaluating():
        expected = PLAN.piles(model.logits(images)).tolist()
    assert [PILES.index(each.pile) for each in predict_answers(checkpoint, images)] == expected
    assert model.fitted.plan == PLAN
    sure = Decider.of(model, sure="fit").sure
    assert (sure.threshold, sure.class_names, list(sure.levels)) == (0.3, tuple(NAMES), ["group"])
    classifier = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    assert TrainedModel.load(classifier.save(tmp_path / "again.ckpt")).fitted.plan == PLAN
    data = DataLoader(TensorDataset(images, torch.arange(6) % 4), batch_size=3)
    pl.Trainer(accelerator="cpu", max_steps=1, **QUIET).fit(classifier, data, data)
    trained = TrainedModel.load(classifier.save(tmp_path / "more.ckpt")).fitted
    assert (trained.plan, trained.sure, trained.sets) == (None, None, None)


def test_the_writer_carries_the_pile(checkpoint, tmp_path):
    images = torch.randn(7, 3, 16, 16)
    classifier = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    for name, given in (("kept.csv", {}), ("given.csv", {"plan": PLAN, "coverage": 0.8})):
        writer = TopKPredictionWriter(tmp_path / name, k=2, **given)
        trainer = pl.Trainer(accelerator="cpu", callbacks=[writer], **QUIET)
        trainer.predict(classifier, DataLoader(TensorDataset(images), batch_size=3))
        rows = list(csv.DictReader((tmp_path / name).read_text().splitlines()))
        piles = {row["image"]: row["pile"] for row in rows}
        assert list(piles.values()) == [each.pile for each in predict_answers(classifier, images)]
    assert [row["class"] for row in rows if row["rank"] == "1"] == [
        row[0].label for row in predict_topk(checkpoint, images)
    ]
    assert classifier.shown is None


def said_of(capsys, *words):
    assert main(["predict", *words]) == 0
    return capsys.readouterr().out


def test_predict_says_pile_level_and_group(checkpoint, pictures, tmp_path, capsys):
    answers = predict_answers(checkpoint, pictures)
    rows = list(csv.DictReader(said_of(capsys, str(checkpoint), str(pictures), "--format", "csv").splitlines()))
    assert [row["pile"] for row in rows if row["rank"] == "1"] == [each.pile for each in answers]
    assert len(rows) == 4 * PLAN.k
    tree = tmp_path / "tree.csv"
    tree.write_text("".join(f"{name},{kind}\n" for name, kind in KINDS.items()))
    sure = ["--hierarchy", str(tree), "--sure", "0.4"]
    expected = predict_answers(
        checkpoint, pictures, Decider.of(TrainedModel.load(checkpoint), sure=0.4, hierarchy=tree)
    )
    rows = list(csv.DictReader(said_of(capsys, str(checkpoint), str(pictures), *sure, "--format", "csv").splitlines()))
    assert [(row["level"], row["name"]) for row in rows] == [
        (level, name) for each in expected for level, name, _ in each.sure.by_level
    ]
    assert [row["name"] for row in rows if row["said"] == "1"] == [e.sure.label for e in expected if e.sure.level]
    told = json.loads(said_of(capsys, str(checkpoint), str(pictures), *sure, "--format", "json"))
    assert [each["sure"]["name"] for each in told] == [each.sure.label for each in expected]
    fit = said_of(capsys, str(checkpoint), str(pictures), "--sure", "fit")
    assert "review" in fit
    assert "level" in fit
    everything = said_of(capsys, str(checkpoint), str(pictures), "--coverage", "0.94", "--hierarchy", str(tree))
    assert "that is:" in everything or "terrier" not in everything
    sets = [str(checkpoint), str(pictures), "--coverage", "0.94", "--hierarchy", str(tree), "--format", "csv"]
    rows = list(csv.DictReader(said_of(capsys, *sets).splitlines()))
    model = TrainedModel.load(checkpoint)
    expected = predict_answers(checkpoint, pictures, Decider.of(model, coverage=0.94, hierarchy=tree))
    groups = [each.group[1] if each.group else "" for each in expected]
    assert [row["group"] for row in rows if row["rank"] == "1"] == groups


def test_predict_names_the_possible_classes_alone(checkpoint, pictures, tmp_path, capsys):
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("class,weight\nbasset,2\nboston,1\n")
    assert main(["predict", str(checkpoint), str(pictures), "--classes", str(allowed), "--format", "csv"]) == 0
    shown = capsys.readouterr()
    assert "Only 2 of 4 classes are possible, each by its weight" in shown.err
    rows = list(csv.DictReader(shown.out.splitlines()))
    assert {(row["class"], row["index"]) for row in rows} == {("basset", "3"), ("boston", "0")}
    assert "pile" not in rows[0]  # the plan was fitted for all classes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sure", "0.9"], "--hierarchy must be given with --sure, got none."),
        (["--sure", "90", "--hierarchy", "{tree}"], "lie between 0 and 1, or be \"fit\", got '90'. Did you mean 0.9?"),
        (["--hierarchy", "{tree}"], "--hierarchy must stand beside --sure or --coverage, got neither."),
        (["--sure", "fit", "--k", "2"], "--k must be left out with --sure, which says one name, got 2."),
        (["--classes", "nowhere.txt"], "--classes must be an existing file, got 'nowhere.txt'."),
        (
            ["--coverage", "0.9", "--classes", "{allowed}"],
            "prediction sets must be fitted for the classes that are possible, got all classes. Run topk-lightning sets "
            "{checkpoint} with the same --classes.",
        ),
    ],
)
def test_wrong_words_are_one_sentence(checkpoint, pictures, tmp_path, capsys, words, sentence):
    paths = {"tree": tmp_path / "tree.csv", "allowed": tmp_path / "allowed.txt", "checkpoint": checkpoint}
    paths["tree"].write_text("".join(f"{name},{kind}\n" for name, kind in KINDS.items()))
    paths["allowed"].write_text("boston\n")
    words = [word.format(**paths) for word in words]
    assert main(["predict", str(checkpoint), str(pictures), *words]) != 0
    assert sentence.format(**paths) in " ".join(capsys.readouterr().err.split())


def test_what_stands_in_a_checkpoint_instead_of_a_plan_is_one_sentence(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    for change in ({"k": "two"}, {"threshold": "high"}, {"among": "most"}, {"images": -1}, {"target_error": 2}):
        content["review_plan"] = PLAN.to_dict() | change
        torch.save(content, tmp_path / "odd.ckpt")
        with pytest.raises((ValueError, TypeError)) as error:
            TrainedModel.load(tmp_path / "odd.ckpt")
        assert isinstance(error.value, UserError)


def test_a_parquet_file_has_the_pile_too(checkpoint, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    classifier = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    writer = TopKPredictionWriter(tmp_path / "piles.parquet", k=1)
    images = torch.randn(5, 3, 16, 16)
    pl.Trainer(accelerator="cpu", callbacks=[writer], **QUIET).predict(
        classifier, DataLoader(TensorDataset(images), batch_size=2)
    )
    piles = parquet.read_table(tmp_path / "piles.parquet").to_pydict()["pile"]
    assert piles == [each.pile for each in predict_answers(classifier, images)]


def test_a_folder_keeps_no_fits(checkpoint, tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    export_model(checkpoint, tmp_path / "folder", format="hf")
    with pytest.raises(ValueError, match=r"checkpoint must be a file to keep a fit, got the folder '.*'\. An exported"):
        save_fitted(tmp_path / "folder", plan=PLAN)
