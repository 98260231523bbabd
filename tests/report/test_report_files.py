"""What stands beside the page: the same as JSON, held against its schema, and the table of classes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import pytest
import torch

import topk_lightning.report
from tests.report.modelled import HOSTILE, Page, Scores, loader_of, matrix_loader
from topk_lightning import topk_accuracy, write_report

SCHEMA = json.loads((Path(topk_lightning.report.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))
MATRIX = [[50, 2, 3], [4, 45, 1], [2, 3, 40]]


def json_of(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"), parse_constant=refuse)
    jsonschema.validate(content, SCHEMA)
    return content


def table_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def nan_scores():
    logits = torch.eye(3).repeat(4, 1)
    logits[5], logits[7, 1] = torch.nan, torch.inf
    return loader_of(logits, torch.tensor([0, 1, 2, 0]).repeat(3))


@pytest.mark.parametrize(
    "data",
    [matrix_loader(MATRIX), matrix_loader([[8, 2], [1, 9]]), matrix_loader((8 * torch.eye(40)).long().tolist()), nan_scores(),
     loader_of(torch.full((4, 3), torch.nan), torch.tensor([0, 1, 2, 0]))],
    ids=["few classes", "two classes", "no mistake", "nan", "nan alone"],
)  # fmt: skip
def test_every_report_keeps_the_schema(data, tmp_path):
    content = json_of(write_report(Scores(), data, tmp_path / "report.html"))
    assert content["images"]["tested"] == len(data.dataset)


def test_a_trained_classifier_has_all_sections_and_the_schema_allows_no_other_key(trained, tmp_path):
    path = write_report(trained.checkpoint, trained.data, tmp_path / "report.html", facts={"Seed": "0"})
    content = json_of(path)
    assert set(content["sections"]) == set(SCHEMA["properties"]["sections"]["properties"])
    assert {"heading": "Seed", "text": "0"} in content["sections"]["provenance"]["facts"]
    assert [row["epoch"] for row in content["sections"]["training"]["epochs"]] == [1, 2, 3]
    assert not [image for image in content["sections"]["hard_images"]["highest_loss"] if "picture" in image]
    content["sections"]["accuracy"]["another"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_the_json_says_what_the_page_says(tmp_path):
    logits, target = torch.randn(60, 7, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 7
    path = write_report(Scores(), loader_of(logits, target), tmp_path / "report.html", k=3)
    page, content = Page(path), json_of(path)
    sections = content["sections"]
    assert content["sentence"] in page.text
    assert content["grade"]["reason"] in page.text
    for row in sections["accuracy"]["topk"]:
        assert row["accuracy"] == pytest.approx(float(topk_accuracy(logits, target, row["k"])))
        assert f"{row['low']:.3f} to {row['high']:.3f}, 95 % interval" in page.text
    assert sum(sections["accuracy"]["rank_histogram"]) == 60
    for finding in sections["findings"]["findings"]:
        assert finding["sentence"] in page.text
    for sentence in (
        *sections["accuracy"]["notes"],
        *sections["calibration"]["notes"],
        *sections["confusions"]["notes"],
    ):
        assert sentence in page.text
    assert [row["name"] for row in sections["classes"]["classes"]] == list(page.classes)
    assert sum(cell["count"] for cell in sections["confusions"]["heat_map"]["cells"]) == 60
    assert [section["title"] for section in sections.values()] == [
        heading for heading in (section["title"] for section in sections.values()) if heading in page.text
    ]


@pytest.mark.parametrize("safe", [False, True])
def test_the_tables_are_read_back_as_they_were_counted(tmp_path, safe):
    names = ["cat", 'd"o,g\r\nx', "=1+1"]
    out = tmp_path / "report.html"
    write_report(Scores(), matrix_loader(MATRIX), out, class_names=names, k=2, spreadsheet_safe=safe)
    told = [f"'{name}" if safe and name.startswith("=") else name for name in names]
    rows = {row["class"]: row for row in table_of(tmp_path / "classes.csv")}
    assert set(rows) == set(told)
    suspects = table_of(tmp_path / "suspects.csv")
    wrong = [(told[label], told[guess]) for label in range(3) for guess in range(3) for _ in range(MATRIX[label][guess]) if label != guess]  # fmt: skip
    assert sorted((row["label"], row["suggested"]) for row in suspects) == sorted(wrong)
    assert list(rows["cat"]) == [
        "index", "class", "images", "recall", "recall_top2", "precision", "f1", "most_often_taken_for", "times", "grade",
    ]  # fmt: skip
    cat = rows["cat"]
    assert (cat["index"], cat["images"], cat["most_often_taken_for"], cat["times"]) == ("0", "55", told[2], "3")
    assert float(cat["recall"]) == pytest.approx(50 / 55)
    assert float(cat["precision"]) == pytest.approx(50 / 56)


def test_what_is_not_defined_is_null_and_an_empty_cell(tmp_path):
    path = write_report(Scores(), loader_of(torch.eye(3)[[0, 2]], torch.tensor([0, 2])), tmp_path / "test.html", k=1)
    row = json_of(path)["sections"]["classes"]["classes"][-1]
    assert (row["index"], row["recall"], row["precision"]) == (1, None, None)
    assert table_of(tmp_path / "test_classes.csv")[-1]["recall"] == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stand_in_the_json_as_they_are(name, tmp_path):
    names = [name, "a\ud800", "\x1b[31m\u202ered"]
    content = json_of(write_report(Scores(), matrix_loader(MATRIX), tmp_path / "report.html", class_names=names))
    found = {row["index"]: row["name"] for row in content["sections"]["classes"]["classes"]}
    assert (found[0], found[1], found[2]) == (name, "a\ud800", names[2])
