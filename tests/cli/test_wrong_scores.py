"""Files of scores that do not fit the question: one sentence and no number; names are printed as they are."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from topk_lightning.cli import main
from topk_lightning.cli._quiet import quiet_lightning

NAMES = ["[red]x", "[bold]fat[", "peach"]
CASES = [
    ("test a.npz --save-scores b.npz", 2, "--save-scores must be left out for a file of scores, which has them"),
    ("test nothing.ckpt --save-scores b.foo", 2, "--save-scores must end in .npz, .parquet or .csv, got 'b.foo'."),
    ("test none.npz", 1, "scores must have a target for a test, got none. Name a file of the right classes with --target."),
    ("compare a.npz a.npz --k 0", 1, "k must be at least 1, got 0."),
    ("compare a.npz a.npz --k x", 2, "--k must be a whole number, got 'x'."),
    ("compare a.npz other.npz", 1, "second must have the classes of first, got one called 'c0'."),
    ("review a.npz --test other.npz", 1, "--test must have the classes of the validation, in their order, got others."),
    ("review none.npz", 2, "scores must have a target for a review plan, got none."),
    ("sets nan.npz", 1, "scores must have an image without a NaN, got none."),
    ("sets none.npz", 1, "scores must have a target for prediction sets, got none."),
    ("sets a.npz --coverage 1", 2, "--coverage must lie between 0 and 1, got 1.0."),
    ("test a.npz --data emoji", 2, "--data must be left out for a file of scores, which needs no network and no images, got 'emoji'."),
    ("test a.npz --network a:b", 2, "--network must be left out for a file of scores"),
    ("test a.npz --batch-size 3", 2, "--batch-size must be left out for a file of scores"),
    ("report a.npz --data emoji", 2, "--data must be left out for a file of scores"),
    ("report a.npz --logit-adjustment 1", 2, "--logit-adjustment must be left out for a file of scores"),
    ("sets a.npz --data emoji", 2, "--data must be left out for a file of scores"),
    ("sets a.npz --test-target target.npy", 2, "--test-target must be left out without --test, got 'target.npy'."),
    ("sets a.npz --k 3", 2, "--k must be left out for lac: it is of raps, got 3."),
    ("sets a.npz --method rank --penalty 0.1", 2, "--penalty must be left out for rank: it is of raps, got 0.1."),
    ("review weights.npz", 2, "scores must count all images alike for a review plan, got weights of samples."),
    ("review a.npz --test weights.npz", 1, "scores must count all images alike for the outcome of a review plan, got weights"),
    ("sets a.npz --out s.txt", 2, "--out must end in .json, got 's.txt'."),
    ("test values.ckpt --save-scores folder.npz", 1, "--save-scores must be a file that can be written, got 'folder.npz', which is a folder."),
    ("calibrate a.npz --out s.txt", 2, "--out must end in .json, got 's.txt'."),
    ("calibrate none.npz", 1, "scores must have a target for a temperature, got none."),
    ("calibrate nan.npz", 1, "validation must hold at least 4 images with finite scores for a temperature, got 0."),
    ("sets a.npz --test other.npz", 1, "--test must have the classes of the validation, in their order, got others."),
    ("review a.npz --out s.txt", 2, "--out must end in .json, got 's.txt'."),
    ("review a.npz --data emoji", 2, "--data must be left out for a file of scores"),
    ("calibrate a.npz --test other.npz", 1, "--test must have the classes of the validation, in their order, got others."),
    ("test folder.npz", 1, "checkpoint must be a file, or a folder with best.ckpt, got 'folder.npz'."),
]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logits = np.tile(np.float32([[9, 0, 0], [0, 1, 0.9]]), (50, 1))
    target, folder = np.tile([0, 2], 50), tmp_path / "folder.npz"
    folder.mkdir()
    np.savez("a.npz", logits=logits, target=target, class_names=NAMES)
    np.savez("other.npz", logits=logits, target=target, class_names=["c0", "c1", "c2"])
    np.savez("weights.npz", logits=logits, target=target, class_names=NAMES, sample_weight=np.linspace(0, 2, 100))
    np.savez("none.npz", logits=logits, class_names=NAMES)
    np.savez("nan.npz", logits=np.full_like(logits, np.nan), target=target)
    logits[:3] = np.nan
    np.savez("three.npz", logits=logits, target=target)
    Path("values.ckpt").write_bytes(b"none")
    np.save("values.npy", logits)
    np.save("target.npy", target)


@pytest.mark.parametrize(("words", "status", "said"), CASES, ids=[words for words, _, _ in CASES])
def test_scores_that_do_not_fit_are_one_sentence(words, status, said, here, capsys):
    assert main(words.split()) == status
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_images_with_a_nan_are_counted(here, capsys):
    assert main(["sets", "three.npz"]) == 0
    assert "3 of 100 images have a NaN score: they are shown no name and count as missed." in capsys.readouterr().out


@pytest.mark.parametrize("command", ["sets", "calibrate", "review"])
def test_what_is_written_is_named_without_escape_sequences(command, here, capsys):
    assert main([command, "a.npz", "--out", "\x1b[31mred.json"]) == 0
    assert Path("\x1b[31mred.json").is_file()
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"\x1b[31mred.json" in printed


def test_one_k_needs_no_brackets(here, capsys):
    assert main(["compare", "a.npz", "a.npz", "--k", "2"]) == 0
    assert "top-2: 1.000 and 1.000" in capsys.readouterr().out


def test_review_prints_words_in_brackets_as_they_are(here, capsys):
    assert main(["review", "a.npz", "--target-error", "0.3", "--out", "[red]plan.json"]) == 0
    assert "review plan: [red]plan.json\n" in capsys.readouterr().out


def test_review_reads_values_alone(here, capsys):
    words = "review values.npy --kind logits --target target.npy --test values.npy --test-target target.npy"
    assert main([*words.split(), "--target-error", "0.3"]) == 0
    rows = [
        line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.split()[0] in ("validation", "test")
    ]
    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_a_package_that_is_imported_later_says_no_hints():
    with quiet_lightning():
        for package in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
            logger = logging.getLogger(package)
            level = logger.level
            logger.setLevel(logging.INFO)  # what its first import does
            try:
                assert not logging.getLogger(f"{package}.utilities.rank_zero").isEnabledFor(logging.INFO)
            finally:
                logger.setLevel(level)
