"""The page of two models and its JSON file: what is said is what was counted, held against its schema.

SCREENSHOTS=1 with REPORT_CHECKPOINT=runs/demo/best.ckpt, which `make demo` writes, renews the picture of the docs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import torch
from PIL import Image

import topk_lightning.report
from tests.browser import LOOKS
from tests.report.modelled import HOSTILE, SCRIPT
from topk_lightning._checks import UserError
from topk_lightning.decisions import compare_scores
from topk_lightning.report import pictures_by_name, score_images, write_comparison
from topk_lightning.scores import Scores

SCHEMA = json.loads(
    (Path(topk_lightning.report.__file__).parent / "comparison.schema.json").read_text(encoding="utf-8")
)
NAMES = ["ant", "bee", "cat", "dog", "eel", "fly"]


def made(seed, strength=1.5, rows=120, names=NAMES, **options):
    target = torch.arange(rows) % 6
    values = torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)) + strength * torch.eye(6)[target]
    given = {"class_names": names, "ids": [f"{row % 6}/{row}.png" for row in range(rows)], **options}
    return Scores(values, target, kind="logits", **given)


def written(path):
    content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    return path.read_text(encoding="utf-8"), content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the ids are pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for row in range(120):
        (folder / str(row % 6)).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (row, 40 * (row % 6), 90)).save(folder / f"{row % 6}/{row}.png")
    return folder


@pytest.fixture(scope="module")
def pages(folder, tmp_path_factory):
    """A page of one network a side with pictures, and one of three seeds."""
    out = tmp_path_factory.mktemp("comparison")
    one = write_comparison(
        made(0), made(1, 2.2), out / "one.html", names=("old", "new"), margin=0.02, images=folder, listed=6
    )
    sides = [[made(10 * side + seed, 1.5 + side / 2) for seed in range(3)] for side in (0, 1)]
    seeds = write_comparison(*sides, out / "seeds.html", names=("old", "new"))
    best = os.environ.get("REPORT_CHECKPOINT")
    return (one, seeds) if best is None else (one, seeds, of_the_demo(Path(best), out / "comparison.html"))


def of_the_demo(best, out):
    """The page of two checkpoints of `make demo`, for the docs."""
    run = ["compare", "runs/demo/last.ckpt", "runs/demo/best.ckpt", "--margin", "0.02", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "topk_lightning", *run], cwd=best.resolve().parents[2], check=True)
    return out


def test_the_page_says_what_was_counted(pages):
    text, content = written(pages[0])
    expected = compare_scores(made(0), made(1, 2.2), margin=0.02)
    (pair,) = content["pairs"]
    for row, (k, of_k) in zip(pair["topk"], expected.by_k.items(), strict=True):
        assert (row["k"], row["verdict"]) == (k, of_k.verdict)
        assert row["won"] == [expected.ids[image] for image in of_k.won.tolist()]
        assert f"{of_k.difference:+.3f}".replace("-", "−") in text
        assert f"{len(of_k.won)} images won, {len(of_k.lost)} lost" in text
    assert content["sentence"] in text
    assert pair["sets"]["first"]["mean_size"] == pytest.approx(expected.sizes.mean[0])
    assert f"expected calibration error {expected.calibration[1].error:.3f}" in text
    assert f"Won: {len(expected.by_k[1].won)}" in text
    assert "6 of them are shown" in text
    assert text.count('<img src="data:image/webp') == 12
    assert content["seeds"] is None


def test_several_seeds_are_paired(pages):
    text, content = written(pages[1])
    (first, *_) = content["seeds"]["topk"]
    assert first["by_seed"] == [pair["topk"][0]["difference"] for pair in content["pairs"]]
    assert first["difference"] == pytest.approx(sum(first["by_seed"]) / 3)
    assert "3 networks a side, paired by seed" in text
    assert content["verdict"] == first["verdict"]
    assert "pair 3" in text


def test_pictures_of_a_checkpoint_are_found_by_name(trained, tmp_path):
    scores = score_images(trained.checkpoint, trained.data)
    other = Scores(
        scores.values.roll(1, 1), scores.target, kind="logits", class_names=scores.class_names, ids=scores.ids
    )
    shown = pictures_by_name(trained.checkpoint, trained.data)
    path = write_comparison(other, scores, tmp_path / "c.html", images=shown, listed=3)
    text, content = written(path)
    assert text.count("<img ") == min(3, len(content["pairs"][0]["topk"][0]["won"])) + min(
        3, len(content["pairs"][0]["topk"][0]["lost"])
    )


def test_the_best_classes_alone_have_no_calibration_and_no_sets(tmp_path):
    whole = made(0)
    best = Scores.of_topk(
        whole.topk(5),
        whole.values.gather(1, whole.topk(5)),
        whole.target,
        kind="logits",
        class_names=NAMES,
        ids=whole.ids,
    )
    text, content = written(write_comparison(best, made(1), tmp_path / "c.html"))
    assert content["pairs"][0]["calibration"] is None
    assert content["pairs"][0]["sets"] is None
    assert "How many names" not in text


def test_nan_rows_and_hostile_names_only_show(tmp_path):
    hostile = [*HOSTILE, SCRIPT, "a", "b", "c", "d", "e"][:6]
    first, second = made(0, names=hostile, ids=None), made(1, names=hostile, ids=None)
    first.values[:9] = torch.nan
    text, content = written(write_comparison(first, second, tmp_path / "c.html", names=(SCRIPT, "new"), title=SCRIPT))
    assert SCRIPT not in text
    assert "no guess (NaN)" in text
    assert content["title"] == SCRIPT


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"images": "nowhere"}, "images must be a folder, got 'nowhere'."),
        ({"coverage": 1}, "coverage must lie between 0 and 1, got 1. The right name is always among all names alone."),
        ({"listed": -1}, "listed must be at least 0, got -1."),
        ({"out": "c.txt"}, "out must be the name of an .html file, got 'c.txt'."),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, options, sentence):
    with pytest.raises(UserError) as error:
        write_comparison(made(0), made(1), **{"out": tmp_path / "c.html", **options})
    assert str(error.value) == sentence


def test_a_folder_without_the_images_is_said(tmp_path):
    with pytest.raises(UserError, match="images must hold the images that the scores' ids name"):
        write_comparison(made(0), made(1), tmp_path / "c.html", images=tmp_path)
    assert not (tmp_path / "c.html").exists()


@pytest.mark.parametrize(*LOOKS)
def test_it_is_readable_in_light_and_dark_on_a_phone_and_a_desk(open_page, pages, scheme, width):
    for page in pages:
        opened = open_page(page, scheme, width)
        opened.assert_fits()
        opened.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        opened.assert_fits()
        opened.assert_readable()
        assert all(url.startswith("data:") for url in opened.requests[1:])
        if page.stem == "comparison" and width == 1280:
            opened.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = false))")
            opened.page.set_viewport_size({"width": width, "height": 1360})
            opened.screenshot(f"{page.stem}_{scheme}_{width}", full_page=False, docs=True)
