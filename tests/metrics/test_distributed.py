"""The metrics in two real gloo processes, one of which may be idle."""

from __future__ import annotations

import warnings

import pytest
import torch
from torchmetrics import MetricCollection

from tests.distributed import run_processes
from topk_lightning.metrics import (
    CalibrationError,
    ClassReport,
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


class Collectives:
    """Count the collectives of this process, which are carried out all the same, and the numbers that it sends."""

    NAMES = ("all_reduce", "all_gather", "all_gather_into_tensor", "barrier", "broadcast", "gather")

    def __enter__(self):
        self.calls, self.numbers, self.kept = [], 0, {}
        for name in self.NAMES:
            self.kept[name] = getattr(torch.distributed, name)
            setattr(torch.distributed, name, self.counted(name))
        return self

    def counted(self, name):
        def call(*args, **kwargs):
            self.calls.append(name)
            self.numbers += args[0].numel() if name == "all_reduce" else 0
            return self.kept[name](*args, **kwargs)

        return call

    def __exit__(self, *_):
        for name, function in self.kept.items():
            setattr(torch.distributed, name, function)


SEVERAL = {
    "micro": lambda: TopKAccuracies((1, 3, 5)),
    "by class": lambda: TopKAccuracies((1, 3, 5), num_classes=CLASSES, average="macro"),
    "one": lambda: TopKAccuracy(3),
    "report": lambda: ClassReport(CLASSES, (1, 3)),
}


def join(rank, world_size):
    """What each metric says where one process has seen nothing, and what it took to say it."""
    warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
    scores, target, _ = data()
    said = {}
    for name, build in SEVERAL.items():
        metric = build()
        if rank == 0:
            metric.update(scores, target)
        with Collectives() as collectives:
            values = metric.compute()
        values = values if isinstance(values, dict) else {"value": values}
        said[name] = ({key: value.tolist() for key, value in values.items()}, collectives.calls, collectives.numbers)
    # A member that one process alone has merged is summed by itself, and no process waits for another.
    metric = SEVERAL["by class"]()
    metric.update(scores, target)
    if rank == 1:
        other = SEVERAL["by class"]()
        other.update(scores[:20], target[:20])
        metric["top3"].merge_state(other["top3"])
    said["merged"] = {key: value.item() for key, value in metric.compute().items()}
    metric.update(scores, target)
    metric.reset()
    metric.update(scores[:5], target[:5])
    said["after"] = {key: value.item() for key, value in metric.compute().items()}
    return said


def test_all_states_of_all_members_are_joined_at_once_and_an_idle_process_takes_part():
    scores, target, _ = data()
    first, second = run_processes(join, 2)
    expected_calls = {"micro": 2, "by class": 3, "one": 2, "report": 1}
    for name, build in SEVERAL.items():
        alone = build()
        alone.update(scores, target)
        values = alone.compute()
        values = values if isinstance(values, dict) else {"value": values}
        for said in (first, second):
            found, calls, _ = said[name]
            for key, value in values.items():
                torch.testing.assert_close(torch.tensor(found[key]).to(value.dtype), value, equal_nan=True)
            assert calls == ["all_reduce"] * expected_calls[name]
    member = next(iter(SEVERAL["by class"]().values()))
    state = sum(table.numel() for table in member.metric_state.values())
    assert first["by class"][2] == state + 3  # the tables once, and a flag a member
    both = torch.cat([scores, scores, scores[:20]]), torch.cat([target, target, target[:20]])
    for said in (first, second):
        assert said["merged"]["top5"] == pytest.approx(accuracy(scores, target, 5, average="macro").item())
        assert said["merged"]["top3"] == pytest.approx(accuracy(*both, 3, average="macro").item())
        assert said["after"]["top1"] == pytest.approx(accuracy(scores[:5], target[:5], 1, average="macro").item())
