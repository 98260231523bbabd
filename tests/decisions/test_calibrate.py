"""A temperature for stored scores: that of TemperatureScaler, measured on images that it was not fitted on."""

from __future__ import annotations

import json

import pytest
import torch

from tests.decisions.populations import population
from topk_lightning import CalibrationError, Scores, TemperatureScaler, write_scores
from topk_lightning.cli import main
from topk_lightning.decisions import calibrate_scores


def files(stretch):
    logits, target = population(2000, 10)
    return [Scores(stretch * logits[part], target[part], kind="logits") for part in (slice(0, 1000), slice(1000, None))]


def error(logits, target):
    metric = CalibrationError()
    metric.update(logits, target)
    return float(metric.compute())


def test_it_is_the_temperature_of_the_validation_and_the_error_of_the_test():
    validation, test = files(3.0)
    validation.values[5] = torch.nan
    found = calibrate_scores(validation, test)
    kept = torch.arange(1000) != 5
    scaler = TemperatureScaler().fit(validation.values[kept], validation.target[kept])
    assert found.temperature == float(scaler.temperature)
    assert (found.fit_images, found.test_images) == (999, 1000)
    assert found.before.error == pytest.approx(error(test.values, test.target))
    assert found.after.error == pytest.approx(error(scaler(test.values), test.target))
    assert found.helps


def test_without_a_test_no_image_is_measured_by_its_own_temperature():
    validation, _ = files(3.0)
    found = calibrate_scores(validation)
    half, metric = torch.arange(1000) % 4 < 2, CalibrationError()
    for part in (half, ~half):
        scaler = TemperatureScaler().fit(validation.values[~part], validation.target[~part])
        metric.update(scaler(validation.values[part]), validation.target[part])
    assert found.after.error == pytest.approx(float(metric.compute()))
    assert found.on_halves


def test_where_scores_are_calibrated_already_it_says_so():
    found = calibrate_scores(*files(1.0))
    assert not found.helps
    assert "does not help" in found.sentence


def test_probabilities_give_the_temperature_of_their_logits():
    logits, probabilities = (calibrate_scores(*pair) for pair in (files(3.0), [
        Scores(one.values.softmax(1), one.target, kind="probabilities") for one in files(3.0)
    ]))  # fmt: skip
    assert probabilities.temperature == pytest.approx(logits.temperature, rel=1e-4)


def test_the_command_says_and_writes_it(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ("val.npz", "test.npz")]
    for scores, path in zip(files(3.0), paths, strict=True):
        write_scores(scores, path)
    out = tmp_path / "temperature.json"
    assert main(["calibrate", paths[0], "--test", paths[1], "--out", str(out)]) == 0
    found, said = calibrate_scores(*files(3.0)), capsys.readouterr().out
    assert f"temperature {found.temperature:.3f}" in said
    assert f"{found.before.error:.3f} before, {found.after.error:.3f} after" in said
    assert json.loads(out.read_text())["temperature"] == pytest.approx(found.temperature)


def test_what_leaves_no_interval_is_not_said_to_help():
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 1.0, 0.9]]).repeat(50, 1)
    validation, test = (Scores(logits, torch.tensor([0, label] * 50), kind="logits") for label in (2, 1))
    found = calibrate_scores(validation, test)
    assert found.low != found.low
    assert found.after.error < found.before.error  # nevertheless
    assert not found.helps
    assert found.sentence.startswith("It does not help: these images do not show")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["low"] is None
