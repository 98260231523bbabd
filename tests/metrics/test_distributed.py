"""The metrics in two real gloo processes, one of which may be idle."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import MetricCollection

from tests.distributed import run_processes
from topk_lightning.metrics import (
    CalibrationError,
    MeanLoss,
    MultilabelTopKAccuracy,
    TopKAccuracies,
    TopKAccuracy,
    multilabel_topk_accuracy,
    topk_accuracy as accuracy,
)

ROWS, CLASSES = 61, 9


def data():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(6, (ROWS, CLASSES), generator=generator).float()
    target = torch.randint(CLASSES, (ROWS,), generator=generator)
    return scores, target, torch.rand(ROWS, generator=generator)


def metrics():
    return {
        "micro": TopKAccuracy(3),
        "macro": TopKAccuracy(3, num_classes=CLASSES, average="macro"),
        "none": TopKAccuracy(3, num_classes=CLASSES, average="none"),
        "expected": TopKAccuracy(3, ties="expected"),
        "weights": TopKAccuracy(3),
    }


def measure(rank, world_size, share):
    """Count this rank's rows; everything is returned as plain numbers."""
    scores, target, weight = data()
    rows = slice(0, share) if rank == 0 else slice(share, None)
    found = {}
    for name, metric in metrics().items():
        if rows.start != ROWS:
            metric.update(scores[rows], target[rows], weight[rows] if name == "weights" else None)
        found[name] = metric.compute().tolist()
        if name in ("micro", "none"):
            found[f"{name} interval"] = metric.confidence_interval().tolist()
            found[f"{name} curve"] = metric.curve().tolist()
        own = metric.counts.whole.sum() + metric.counts.fractional[..., :-1].sum()
        found[f"{name} own"] = own.item()
    calibration = CalibrationError(k=2)
    if rows.start != ROWS:
        calibration.update(scores[rows], target[rows])
    curve = calibration.curve()
    found["calibration"] = [calibration.compute().item(), curve.accuracy.tolist(), curve.low.tolist()]
    several = TopKAccuracies(prefix="val/")
    several.update(scores[rows], target[rows])
    found.update({name: value.item() for name, value in several.compute().items()})
    mean = MeanLoss()
    if rows.start != ROWS:
        mean.update(weight[rows].mean(), len(weight[rows]))
    found["loss"] = mean.compute().item()
    labels = MetricCollection([MultilabelTopKAccuracy(2, "recall")])
    labels.update(scores[rows], (scores > 3)[rows])
    found["recall"] = labels.compute()["MultilabelTopKAccuracy"].item()
    return found


@pytest.mark.parametrize("share", [20, ROWS])
def test_two_processes_count_like_one(share):
    """The first process has `share` rows, the second the others: none in one case, where it stays idle."""
    scores, target, weight = data()
    first, second = run_processes(measure, 2, share)
    alone = metrics()
    for name, metric in alone.items():
        metric.update(scores, target, weight if name == "weights" else None)
        for found in (first, second):
            torch.testing.assert_close(torch.tensor(found[name]), metric.compute(), equal_nan=True)
    for name in ("micro", "none"):
        for key, expected in {"interval": alone[name].confidence_interval(), "curve": alone[name].curve()}.items():
            for found in (first, second):
                torch.testing.assert_close(torch.tensor(found[f"{name} {key}"]), expected, equal_nan=True)
    calibration = CalibrationError(k=2)
    calibration.update(scores, target)
    curve = calibration.curve()
    for found in (first, second):
        expected = calibration.compute(), curve.accuracy, curve.low
        for value, wanted in zip(found["calibration"], expected, strict=True):
            torch.testing.assert_close(torch.tensor(value), wanted, equal_nan=True)
    assert first["micro own"] == share
    assert second["micro own"] == ROWS - share
    for found in (first, second):
        for k in (1, 3, 5):
            assert found[f"val/top{k}"] == accuracy(scores, target, k).item()
        assert found["loss"] == pytest.approx(weight.double().mean().item())
        assert found["recall"] == pytest.approx(multilabel_topk_accuracy(scores, scores > 3, 2, "recall").item())
