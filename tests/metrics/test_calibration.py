"""Calibration error and reliability curve against loops and torchmetrics; several processes: test_distributed.py."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import pytorch_lightning as pl
import torch
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import multiclass_calibration_error

from topk_lightning.metrics import CalibrationError, TopKAccuracy, wilson_interval

INF, NAN = math.inf, math.nan
CURVE = ("edges", "count", "confidence", "accuracy", "low", "high")


def data(rows=500, classes=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, generator=generator)
    return logits, torch.randint(classes, (rows,), generator=generator)


def measured(logits, target, *args, batch=64, **options):
    metric = CalibrationError(*args, **options)
    for start in range(0, len(logits), batch):
        metric.update(logits[start : start + batch], target[start : start + batch])
    return metric


def slow(logits, target, num_bins, k):
    """The definition, row by row: (error, rows, sum of confidence, hits) a bin."""
    bins = [[0, 0.0, 0] for _ in range(num_bins)]
    for row, label in zip(logits.double().tolist(), target.tolist(), strict=True):
        weights = [math.exp(score - max(row)) for score in row]
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))[:k]
        confidence = sum(weights[c] for c in order) / sum(weights)
        place = bins[min(int(confidence * num_bins), num_bins - 1)]
        place[0] += 1
        place[1] += confidence
        place[2] += label in order
    error = sum(n / len(logits) * abs(hits / n - confidence / n) for n, confidence, hits in bins if n)
    return error, bins


@pytest.mark.parametrize(("num_bins", "k"), [(15, 1), (1, 1), (10, 3), (7, 7)])
def test_error_and_curve_are_those_of_a_loop_over_rows(num_bins, k):
    logits, target = data()
    metric = measured(logits, target, num_bins, k=k)
    error, bins = slow(logits, target, num_bins, k)
    assert metric.compute().item() == pytest.approx(error, abs=1e-6)
    curve = metric.curve()
    assert curve.error == pytest.approx(error, abs=1e-6)
    assert curve.count.tolist() == [n for n, _, _ in bins]
    for place, (n, confidence, hits) in enumerate(bins):
        if n:
            assert curve.confidence[place].item() == pytest.approx(confidence / n, abs=1e-6)
            assert curve.accuracy[place].item() == pytest.approx(hits / n, abs=1e-6)
            interval = wilson_interval(torch.tensor(hits / n), torch.tensor(float(n)), 0.95).tolist()
            assert [curve.low[place].item(), curve.high[place].item()] == pytest.approx(interval, abs=1e-6)
        else:
            assert all(math.isnan(getattr(curve, name)[place]) for name in CURVE[2:])
    total, right = sum(c for _, c, _ in bins), sum(h for _, _, h in bins)
    assert curve.overconfidence == pytest.approx((total - right) / len(logits), abs=1e-6)


@pytest.mark.parametrize("num_bins", [5, 10, 15, 20])
def test_error_is_that_of_torchmetrics(num_bins):
    logits, target = data(1000, 5)
    expected = multiclass_calibration_error(logits, target, num_classes=5, n_bins=num_bins)
    torch.testing.assert_close(measured(logits, target, num_bins).compute(), expected)


def test_a_bin_holds_its_lower_edge_and_the_last_one_also_certainty():
    logits = torch.tensor([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]).log()
    assert measured(logits, torch.tensor([0, 0, 0]), 4).curve().count.tolist() == [0, 0, 1, 2]


def test_of_equal_scores_the_lower_index_is_the_answer_that_counts():
    logits = torch.zeros(4, 4)
    curve = measured(logits, torch.tensor([0, 1, 2, 3]), 1).curve()
    assert (curve.confidence.item(), curve.accuracy.item()) == (1 / 4, 1 / 4)
    assert measured(logits, torch.tensor([0, 1, 2, 3]), 1, k=2).compute() == abs(2 / 4 - 2 / 4)
    assert measured(logits[:1], torch.tensor([0])).compute() == 1 - 1 / 4
    assert measured(logits[:1], torch.tensor([1])).compute() == 1 / 4


def test_all_classes_together_are_always_right():
    logits, target = data()
    assert measured(logits, target, k=7).compute().item() == pytest.approx(0, abs=1e-6)


def test_rows_without_a_confidence_stand_in_no_bin_and_are_counted():
    logits, target = data(20, 3)
    broken = torch.tensor([[NAN, 0, 0], [0, INF, 0], [-INF, -INF, -INF]])
    metric = measured(torch.cat([logits, broken]), torch.cat([target, torch.tensor([1, 1, 0])]))
    assert metric.curve().undefined == 3
    assert metric.curve().count.sum() == 20
    assert metric.compute() == measured(logits, target).compute()


def test_a_masked_class_has_probability_0():
    logits, target = data(50, 4)
    masked = torch.cat([logits, torch.full((50, 1), -INF)], 1)
    assert measured(masked, target).compute() == measured(logits, target).compute()
    assert measured(masked, target).curve().undefined == 0


def test_rows_with_the_ignored_label_may_hold_anything():
    logits, target = data(40, 3)
    more = torch.cat([logits, torch.full((2, 3), NAN)]), torch.cat([target, torch.tensor([-100, -100])])
    metric = measured(*more, ignore_index=-100)
    assert metric.compute() == measured(logits, target).compute()
    assert metric.curve().undefined == 0


def test_shapes_with_more_dimensions_are_rows_too():
    logits, target = data(60, 4)
    expected = measured(logits, target, k=2).curve()
    sequences = logits.view(6, 10, 4), target.view(6, 10)
    for metric in (
        measured(*sequences, k=2, class_dim=-1),
        measured(sequences[0].movedim(-1, 1), sequences[1], k=2),
    ):
        assert metric.curve().count.tolist() == expected.count.tolist()
        assert metric.curve().error == pytest.approx(expected.error, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_are_measured_as_they_are(dtype):
    logits, target = data()
    error, _ = slow(logits.to(dtype), target, 15, 1)
    assert measured(logits.to(dtype), target).compute().item() == pytest.approx(error, abs=1e-6)


def test_nothing_seen_is_nan_and_no_rows_change_nothing():
    metric = CalibrationError()
    metric.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert metric.compute().isnan()
    assert math.isnan(metric.curve().error)
    logits, target = data(30)
    metric.update(logits, target)
    assert metric.compute() == measured(logits, target).compute()


def test_states_are_summed_kept_in_float64_and_merged():
    logits, target = data()
    whole = measured(logits, target)
    first, second = measured(logits[:200], target[:200]).half(), measured(logits[200:], target[200:])
    first.merge_state(second)
    assert first.curve().count.tolist() == whole.curve().count.tolist()
    torch.testing.assert_close(first.compute(), whole.compute())
    assert {state.dtype for state in first.metric_state.values()} == {torch.int64, torch.float64}
    with pytest.raises(ValueError, match=r"^incoming_state must come from a CalibrationError of the same settings "):
        first.merge_state(CalibrationError(10))
    for other in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert other.compute() == whole.compute()


def test_metrics_of_other_settings_are_never_taken_for_one():
    logits = torch.full((4, 3), 5.0).log()
    members = {"1": CalibrationError(), "2": CalibrationError(k=2), "few": CalibrationError(3)}
    collection = MetricCollection({**members, "same": CalibrationError(), "top": TopKAccuracy(1)})
    for _ in range(3):
        collection.update(logits, torch.tensor([0, 1, 2, 2]))
    assert len(collection.compute_groups) == 4  # "1" and "same" are one
    assert collection.compute()["2"] == pytest.approx(2 / 3 - 2 / 4, abs=1e-6)


def test_forward_takes_its_arguments_by_name():
    logits, target = data(10)
    assert CalibrationError()(logits=logits, target=target).item() > 0


@pytest.mark.parametrize(
    ("arguments", "target", "error", "sentence"),
    [
        ({"num_bins": 0}, None, ValueError, "num_bins must be at least 1, got 0."),
        ({"k": 0}, None, ValueError, "k must be at least 1, got 0."),
        ({"k": 3}, [0], ValueError, "k must be at most the number of classes (2), got 3. Use a smaller k."),
        ({}, [2], ValueError, "target must hold class indices in [0, 2), got 2. Class indices start at 0."),
        (
            {},
            [[0.5, 0.5]],
            TypeError,
            "target must hold class indices of an integer dtype, got a float tensor of the shape of the logits.",
        ),
    ],
)  # fmt: skip
def test_mistakes_get_a_sentence(arguments, target, error, sentence):
    with pytest.raises(error) as caught:
        CalibrationError(**arguments).update(torch.zeros(1, 2), torch.tensor(target))
    assert str(caught.value) == sentence


def test_predicted_labels_and_whole_numbers_are_no_logits():
    with pytest.raises(TypeError, match=r"^logits must be of a float dtype, got torch.int64\. Did you mean"):
        CalibrationError().update(torch.zeros(1, 2).long(), torch.tensor([0]))


class Logging(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.error = CalibrationError()

    def test_step(self, batch, batch_idx):
        self.error(*batch)
        self.log("error", self.error)


def test_lightning_logs_it_as_an_object():
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=99)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (scores,) = trainer.test(Logging(), loader, verbose=False)
    assert scores["error"] == pytest.approx(measured(*data()).compute().item(), abs=1e-6)
