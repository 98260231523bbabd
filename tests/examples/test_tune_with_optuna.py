"""The search with Optuna: both names of Lightning, hopeless trials stopped."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="optuna is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return importlib.import_module("tune_with_optuna")


@pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])
def test_it_finds_a_best_trial(example, name, monkeypatch, capsys):
    words = ["tune", "--lightning", name, "--trials", "2", "--epochs", "1", "--classes", "food-fruit"]
    monkeypatch.setattr(sys, "argv", words)
    study = example.main()
    assert study.best_value == max(trial.value for trial in study.trials)
    assert capsys.readouterr().out.startswith("best val/top5: ")


@pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])
def test_a_trial_that_falls_behind_is_stopped_in_its_first_epoch(example, name):
    class AtOnce(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return True

    study = optuna.create_study(direction="maximize", pruner=AtOnce())
    study.optimize(lambda trial: example.objective(trial, importlib.import_module(name), 5, ["food-fruit"]), 1)
    (trial,) = study.trials
    assert trial.state is optuna.trial.TrialState.PRUNED
    assert list(trial.intermediate_values) == [0]
