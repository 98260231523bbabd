"""``topk-lightning sets``: on stored scores."""

from __future__ import annotations

import json

import numpy
import pytest

from tests.decisions.populations import population
from topk_lightning.cli import main
from topk_lightning.decisions import PredictionSets, measure_sets


@pytest.fixture
def files(tmp_path):
    logits, target = population(400, 12)
    paths = []
    for name, part in (("val", slice(0, 200)), ("test", slice(200, None))):
        paths.append(str(tmp_path / f"{name}.npz"))
        numpy.savez(paths[-1], logits=logits[part].numpy(), target=target[part].numpy())
    return paths, logits, target


def test_stored_scores_are_fitted_measured_and_kept_as_plain_data(files, tmp_path, capsys):
    (val, test), logits, target = files
    out = tmp_path / "sets.json"
    assert main(["sets", val, "--test", test, "--coverage", "0.85", "--method", "aps", "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    sets = PredictionSets("aps", 0.85).fit(logits[:200], target[:200])
    outcome = measure_sets(sets, logits[200:], target[200:])
    assert outcome.sentence in said
    assert f"85 % {100 * outcome.summary.coverage:.1f} %" in said
    kept = PredictionSets.from_dict(json.loads(out.read_text()))
    assert (kept.mask(logits) == sets.mask(logits)).all()


def test_wrong_words_are_one_sentence(files, capsys):
    (val, _), *_ = files
    for words, sentence in (
        ([val, "--coverage", "90"], "--coverage must lie between 0 and 1, got 90.0. Did you mean 0.9?"),
        ([val, "--temperature", "hot"], "--temperature must be a number above 0 or \"fit\", got 'hot'."),
        ([val + "x.npz"], f"scores must be existing files or folders, got '{val}x.npz'."),
    ):
        assert main(["sets", *words]) != 0
        assert sentence in " ".join(capsys.readouterr().err.split())
