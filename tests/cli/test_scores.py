"""Files of scores on the command line: no network, no images, the same numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from topk_lightning import topk_accuracy
from topk_lightning.cli import main
from topk_lightning.decisions import compare_scores
from topk_lightning.scores import Scores, write_scores


@pytest.fixture
def files(tmp_path):
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(90) % 9
    for name in ("a", "b"):
        logits = torch.randn(90, 9, generator=generator)
        write_scores(Scores(logits, target, kind="logits", class_names=list("abcdefghi")), tmp_path / f"{name}.npz")
    np.save(tmp_path / "values.npy", logits.numpy())
    np.save(tmp_path / "target.npy", target.numpy())
    return tmp_path, logits, target


def test_test_measures_a_file(files, capsys):
    folder, logits, target = files
    words = (
        ["test", str(folder / "b.npz")],
        ["test", str(folder / "values.npy"), "--kind", "logits", "--target", str(folder / "target.npy")],
    )
    for line in words:
        assert main(line) == 0
        shown = {row.split()[0]: row.split() for row in capsys.readouterr().out.splitlines() if "top-" in row}
        for k in (1, 3, 5):
            assert shown[f"top-{k}"][1] == f"{float(topk_accuracy(logits, target, k)):.3f}"


def test_compare_says_and_writes_which_is_better(files, capsys):
    folder, _, _ = files
    out = folder / "compare.json"
    assert main(["compare", str(folder / "a.npz"), str(folder / "b.npz"), "--k", "[1,3]", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    from topk_lightning.scores import read_scores

    expected = compare_scores(read_scores(folder / "a.npz"), read_scores(folder / "b.npz"), k=(1, 3))
    for k, one in expected.by_k.items():
        assert f"top-{k}: {one}" in shown
    (pair,) = json.loads(out.read_text())["pairs"]
    assert pair["topk"][0]["p_mid"] == expected.by_k[1].test.mid_p
    page = folder / "page.html"
    assert main(["compare", str(folder / "a.npz"), str(folder / "b.npz"), "--k", "[1,3]", "--out", str(page)]) == 0
    content = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert content["pairs"][0]["topk"][0]["p_mid"] == pytest.approx(expected.by_k[1].test.mid_p)
    assert (content["first"], content["second"]) == ("a", "b")
    assert content["sentence"] in capsys.readouterr().out


def test_compare_takes_several_seeds_a_side(files, capsys):
    folder, _, _ = files
    one, two = str(folder / "a.npz"), str(folder / "b.npz")
    assert main(["compare", one, two, "--against", two, one, "--k", "1"]) == 0
    assert "over 2 pairs of seeds" in capsys.readouterr().out
    assert main(["compare", one, two, one]) == 2
    assert "the models must be two models, or as many on each side of --against, got 3." in capsys.readouterr().err
    for words, said in (
        (["--data", "emoji"], "--data must be left out for a file of scores"),
        (["--network", "a:b"], "--network must be left out for a file of scores"),
        (["--images", "x"], "--images must be left out without a page"),
        (["--out", "x.txt"], "--out must end in .html"),
    ):
        assert main(["compare", one, two, *words]) == 2
        assert said in capsys.readouterr().err


def test_report_takes_a_file(files, capsys):
    folder, _, _ = files
    words = ["report", str(folder / "a.npz"), "--validation", str(folder / "b.npz"), "--out", str(folder / "r.html")]
    assert main(words) == 0
    content = json.loads((folder / "r.json").read_text())
    assert content["images"]["tested"] == 90
    assert content["sections"]["calibration"]["temperature"] is not None or content["sections"]["calibration"]["notes"]


def test_a_file_of_values_alone_has_to_be_said_what_it_is(files, capsys):
    folder, _, _ = files
    assert main(["test", str(folder / "values.npy")]) == 1
    assert 'kind must be said to be "logits" or "probabilities", got neither.' in capsys.readouterr().err
