"""A report of stored scores says what the report of the run on images says, to the last digit, but for pictures."""

from __future__ import annotations

import json

import jsonschema
import pytest
import torch

from tests.report.modelled import Page
from tests.report.test_report_files import SCHEMA
from topk_lightning import write_report
from topk_lightning._checks import UserError
from topk_lightning.report import score_images
from topk_lightning.scores import Scores, read_scores, write_scores

NAMES = ["ant", "bee", "=cat"]


def json_of(path):
    content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    return content


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_every_number_is_that_of_the_run_on_images(trained, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    of_images = json_of(write_report(trained.checkpoint, trained.data, tmp_path / "images.html"))
    stored = {}
    for split in ("test", "val"):
        path = tmp_path / f"{split}{suffix}"
        write_scores(score_images(trained.checkpoint, trained.data, split), path)
        stored[split] = read_scores(path)
    page = write_report(
        stored["test"],
        None,
        tmp_path / "stored.html",
        validation=stored["val"],
        epoch_table=trained.folder / "epochs.csv",
    )
    of_scores = json_of(page)
    for name in ("sentence", "grade", "k"):
        assert of_scores[name] == of_images[name]
    for section in ("accuracy", "calibration", "confusions", "classes"):
        expected = of_images["sections"][section]
        if section == "confusions":  # groups are the data's to say
            expected, of_scores["sections"][section] = (
                {name: part for name, part in one.items() if name != "heat_map"}
                for one in (expected, of_scores["sections"][section])
            )
        assert of_scores["sections"][section] == expected
    hard, expected = of_scores["sections"]["hard_images"], of_images["sections"]["hard_images"]
    for name in ("confident_errors", "highest_loss", "not_finite"):
        assert hard[name] == expected[name]
    assert "Pictures need the images" in Page(page).text
    assert of_scores["sections"]["findings"]["unknown"] in Page(page).text
    assert "unknown" in of_images["sections"]["findings"]


def test_probabilities_give_the_report_of_their_logits(tmp_path):
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).double()
    target = torch.arange(60) % 3
    contents = [
        json_of(write_report(scores, None, tmp_path / "report.html"))
        for scores in (
            Scores(logits, target, kind="logits", class_names=NAMES),
            Scores(logits.softmax(1), target, kind="probabilities", class_names=NAMES),
        )
    ]
    for content in contents:
        del content["sections"]["provenance"]
    assert contents[0] == contents[1]


def test_nan_rows_are_misses_and_named(tmp_path):
    values = torch.eye(3).repeat(2, 1)
    values[4] = torch.nan
    scores = Scores(values, torch.arange(6) % 3, kind="logits", class_names=NAMES, ids=list("uvwxyz"))
    content = json_of(write_report(scores, None, tmp_path / "report.html"))
    assert content["images"]["right"] == 5
    assert content["sections"]["hard_images"]["not_finite"] == ["y (bee)"]


def test_a_class_that_would_be_a_formula_is_text_in_the_table_for_spreadsheets(tmp_path):
    scores = Scores(torch.eye(3), torch.arange(3), kind="logits", class_names=NAMES)
    write_report(scores, None, tmp_path / "report.html", spreadsheet_safe=True)
    assert "\n2,'=cat," in (tmp_path / "classes.csv").read_text()
    assert '"=cat"' in (tmp_path / "report.json").read_text()


@pytest.mark.parametrize(
    ("options", "change", "sentence"),
    [
        ({"data": "photos"}, {}, "data must be left out for stored scores, got str."),
        ({"network": "resnet18"}, {}, "network must be left out for stored scores, got str."),
        ({}, {"target": None}, "scores must have a target for a report, got none."),
        ({}, {"target": torch.eye(3)}, "target must hold one class an image for a report, got distributions over classes."),
        ({}, {"sample_weight": torch.ones(3)}, "scores must count all images alike for a report, got weights of samples. topk-lightning test weighs them."),
        ({"validation": Scores(torch.eye(3), [0, 1, 2], kind="logits")}, {}, "validation must have the classes of the scores, got other classes."),
    ],
)  # fmt: skip
def test_what_a_report_of_scores_cannot_do_is_said(tmp_path, options, change, sentence):
    given = {"target": torch.arange(3), "class_names": NAMES, **change}
    with pytest.raises(UserError) as error:
        write_report(Scores(torch.eye(3), kind="logits", **given), out=tmp_path / "report.html", **options)
    assert str(error.value) == sentence
