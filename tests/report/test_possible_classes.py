"""A report of some classes alone: scores, targets and groups are those of the list, and images of others are left out."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from torch import nn

from tests.report.modelled import Scores as Network, loader_of
from topk_lightning import TrainedModel, write_report
from topk_lightning.decisions import ClassList, review_plan
from topk_lightning.metrics import topk_accuracy
from topk_lightning.report import score_images
from topk_lightning.scores import Scores


@pytest.fixture(scope="module")
def reports(trained, tmp_path_factory):
    """The report on images, and that of the stored scores of the same images."""
    names = TrainedModel.load(trained.checkpoint).class_names
    allowed, folder = ClassList.of(dict.fromkeys(names[2:12], 1.5), names), tmp_path_factory.mktemp("possible")
    stored = [score_images(trained.checkpoint, trained.data, split) for split in ("test", "val")]
    given = dict.fromkeys(names[2:12], 1.5)
    images = write_report(trained.checkpoint, trained.data, folder / "images.html", classes=given)
    scores = write_report(stored[0], None, folder / "scores.html", validation=stored[1], classes=given)
    return allowed, stored, images, scores


def content_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_the_numbers_are_those_of_the_list(reports):
    allowed, (test, val), *pages = reports
    kept, fitted_on = allowed.scores(test), allowed.scores(val)
    plan = review_plan(fitted_on)
    for page in pages:
        content = content_of(page)
        assert content["images"]["tested"] == len(kept) == 10
        top = {row["k"]: row["accuracy"] for row in content["sections"]["accuracy"]["topk"]}
        logits, target = kept.values, kept.labels()
        assert top[3] == pytest.approx(float(topk_accuracy(logits, target, 3)), rel=1e-6)
        review = content["sections"]["review"]
        assert review["plan"]["images"] == 10
        assert review["plan"]["threshold"] == plan.to_dict()["threshold"]
        assert {row["name"] for row in content["sections"]["classes"]["classes"]} == set(allowed.class_names)
        assert content["possible_classes"].startswith("Only 10 of 24 classes are possible, each by its weight;")
        assert "14 images of other classes are left out." in content["possible_classes"]
        assert content["possible_classes"] in page.read_text()
    groups = content_of(pages[0])["sections"]["groups"]
    assert sum(int(row["note"].split(" of ")[1].split()[0]) for row in groups["groups"]) == 10


def test_the_table_of_suspects_is_in_order_and_has_room_for_what_a_person_finds(reports):
    allowed, (test, _), _, page = reports
    kept = allowed.scores(test)
    rows = list(csv.DictReader(page.with_name("scores_suspects.csv").read_text().splitlines()))
    wrong = (kept.values.argmax(1) != kept.labels()).nonzero().flatten()
    own = kept.values.double().softmax(1).gather(1, kept.labels()[:, None])[:, 0]
    expected = wrong[own[wrong].argsort()].tolist()
    assert [row["image"] for row in rows] == [kept.ids[index] for index in expected]
    assert [float(row["probability"]) for row in rows] == pytest.approx(own[expected].tolist(), rel=0.01)
    assert all(row["right_label"] == row["note"] == "" for row in rows)


def test_the_level_it_is_sure_of_is_fitted_by_a_file_of_any_depth(tmp_path):
    names = [f"c{index}" for index in range(6)]
    (tmp_path / "tree.csv").write_text(
        "class,pair,all\n" + "".join(f"{name},pair {index // 2},every\n" for index, name in enumerate(names))
    )
    # Never sure which of a pair, always which pair.
    target = torch.arange(6).repeat(20)
    logits = 6.0 * torch.eye(3).repeat_interleave(2, 0).repeat_interleave(2, 1)[target]
    scores = Scores(logits, target, kind="logits", class_names=names)
    options = {"validation": scores, "hierarchy": tmp_path / "tree.csv"}
    level = content_of(write_report(scores, None, tmp_path / "report.html", **options))["sections"]["level"]
    assert level["fitted_on_validation"] == {
        "images": 120, "answered": 120, "right": 120, "share": 1, "accuracy": 1, "error": 0,
    }  # fmt: skip
    assert [(row["name"], row["share"]) for row in level["by_level"]] == [("class", 0), ("pair", 1), ("all", 0)]
    assert level["fitted_on_halves_of_the_test"]["answered"] == 1
    assert level["notes"][1] == "Both fits answer about as many: the validation images are of the kind of the test."


def test_a_report_says_what_small_validation_sets_cannot_promise(tmp_path):
    logits = 5 * torch.eye(3).repeat(20, 1)
    target = torch.arange(3).repeat(20)
    few = Scores(logits[:30], target[:30], kind="logits")
    page = write_report(Scores(logits, target, kind="logits"), None, tmp_path / "report.html", validation=few)
    review = content_of(page)["sections"]["review"]
    assert review["sentence"] == "An expert must look at each of the 60 pictures."
    assert review["notes"][0].startswith(
        "Nothing can be promised: for at most 5 % errors with 95 % confidence it takes at"
    )
    assert not page.with_name("suspects.csv").exists()


def test_outputs_that_look_like_probabilities_or_happen_to_sum_to_one_still_make_a_report(tmp_path):
    target = torch.arange(3).repeat(20)
    network, data = nn.Sequential(Network(), nn.Softmax(1)), loader_of(4 * torch.eye(3)[target], target)
    with pytest.warns(UserWarning, match="got rows of probabilities"):
        page = write_report(network, data, tmp_path / "report.html")
    assert "review" not in content_of(page)["sections"]
    # Rows of a few logits that sum to 1 are no probabilities: some others do not.
    logits = torch.cat([torch.eye(3)[target], 9 * torch.eye(3)[target]])
    page = write_report(Network(), loader_of(logits, target.repeat(2)), tmp_path / "report.html")
    assert content_of(page)["sections"]["review"]["aurc"] == 0
