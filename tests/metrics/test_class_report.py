"""ClassReport: its numbers against loops, the Metric contract, and every sentence."""

from __future__ import annotations

import copy
import math
import pickle
import re

import pytest
import torch
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import multiclass_confusion_matrix

from tests.metrics.reports import ANIMALS, hard_batch, report_of
from tests.oracles_report import count_rows, figures
from topk_lightning.metrics import (
    ClassReport,
    _class_counter as counter,
    _confusions as confusions,
    topk_accuracy,
    wilson_interval,
)
from topk_lightning.ranking import target_rank, topk_indices


@pytest.fixture(params=["table", "list"])
def kept_as(request, monkeypatch):
    """Both ways of keeping confusions, also for few classes."""
    if request.param == "list":
        monkeypatch.setattr(counter, "DENSE_CLASSES", 2)
    return request.param


def same_values(values, expected):
    assert set(values) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            values[name].double(), torch.tensor(value).double(), equal_nan=True, rtol=1e-6, atol=0
        )


def test_precision_and_recall_of_the_pinned_table():
    values = report_of(ANIMALS, ["cat", "dog", "owl"]).compute()
    torch.testing.assert_close(values["precision"], torch.tensor([50 / 56, 45 / 50, 40 / 44]))
    torch.testing.assert_close(values["recall"], torch.tensor([50 / 55, 45 / 50, 40 / 45]))
    torch.testing.assert_close(values["f1"], torch.tensor([100 / 111, 90 / 100, 80 / 89]))
    assert values["accuracy"] == torch.tensor(135 / 150)
    torch.testing.assert_close(values["macro_recall"], torch.tensor((50 / 55 + 45 / 50 + 40 / 45) / 3))
    weighted = (55 * 50 / 56 + 50 * 45 / 50 + 45 * 40 / 44) / 150
    torch.testing.assert_close(values["weighted_precision"], torch.tensor(weighted))
    assert values["support"].tolist() == [55, 50, 45]
    assert values["predicted"].tolist() == [56, 50, 44]


@pytest.mark.parametrize("seed", range(4))
def test_every_value_against_a_loop_over_rows(kept_as, seed):
    scores, target = hard_batch(seed=seed)
    target[::9] = -1
    report = ClassReport(7, (1, 3, 7), ignore_index=-1)
    for part in range(0, 200, 33):
        report.update(scores[part : part + 33], target[part : part + 33])
    counted = count_rows(scores.tolist(), target.tolist(), ignore=-1)
    same_values(report.compute(), figures(counted, 7, (1, 3, 7)))
    ranks = [rank for _, rank in counted["ranks"]]
    assert report.rank_histogram().tolist() == [ranks.count(rank) for rank in range(8)]
    pairs = [[actual, predicted, count] for (actual, predicted), count in sorted(counted["pairs"].items())]
    assert report.confusions().tolist() == pairs
    assert counted["nan_rows"] > 0


def test_the_table_is_that_of_torchmetrics_where_no_score_is_nan():
    scores, target = hard_batch(nan=0.0)
    report = ClassReport(7)
    report.update(scores, target)
    named = topk_indices(scores, 1).squeeze(1)
    assert torch.equal(report.confusion_matrix(), multiclass_confusion_matrix(named, target, 7))


def test_accuracies_are_those_of_topk_accuracy_also_with_nan(kept_as):
    scores, target = hard_batch()
    report = ClassReport(7, (1, 2, 7))
    report.update(scores, target)
    for k in (1, 2, 7):
        assert report.compute()[f"top{k}"] == topk_accuracy(scores, target, k)
        expected = topk_accuracy(scores, target, k, average="none")
        torch.testing.assert_close(report.compute()[f"recall_top{k}"], expected, equal_nan=True, rtol=1e-6, atol=0)
        torch.testing.assert_close(
            report.compute()[f"macro_recall_top{k}"], topk_accuracy(scores, target, k, average="macro")
        )


def test_rows_with_nan_are_misses_without_a_prediction():
    nan = math.nan
    report = ClassReport(3, (1, 2))
    report.update(torch.tensor([[nan, 0.0, 1.0], [nan, 0.0, 1.0], [1.0, 0.0, 0.0]]), torch.tensor([0, 2, 0]))
    values = report.compute()
    assert values["nan_rows"] == 2
    assert report.confusions().tolist() == [[0, 0, 1]]
    assert values["recall"][[0, 2]].tolist() == [1 / 2, 0.0]
    # The NaN of another class stands ahead of the target, which is second.
    assert values["recall_top2"][[0, 2]].tolist() == [1 / 2, 1.0]
    assert report.rank_histogram().tolist() == [1, 1, 0, 1]


def test_what_is_undefined_is_nan_and_counts_as_documented():
    # Nothing of "c" in the test, which is predicted once; "b" is never predicted.
    values = report_of(torch.tensor([[3, 0, 1], [2, 0, 0], [0, 0, 0]])).compute()
    torch.testing.assert_close(values["precision"], torch.tensor([3 / 5, math.nan, 0 / 1]), equal_nan=True)
    torch.testing.assert_close(values["recall"], torch.tensor([3 / 4, 0 / 2, math.nan]), equal_nan=True)
    torch.testing.assert_close(values["f1"], torch.tensor([6 / 9, 0.0, 0.0]))
    torch.testing.assert_close(values["macro_precision"], torch.tensor((3 / 5 + 0) / 2))
    torch.testing.assert_close(values["macro_recall"], torch.tensor((3 / 4 + 0) / 2))
    torch.testing.assert_close(values["weighted_precision"], torch.tensor((4 * 3 / 5 + 0) / 6))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.uint8])
def test_scores_of_any_dtype(dtype):
    scores, target = hard_batch(nan=0.0)
    scores = scores.clamp(min=0).to(dtype)
    report = ClassReport(7)
    report.update(scores, target.to(torch.uint8))
    assert torch.equal(report.rank_histogram()[:7], target_rank(scores, target).bincount(minlength=7))


def test_extra_dimensions_and_class_dim():
    scores, target = hard_batch(rows=60)
    flat, images, sequence = ClassReport(7), ClassReport(7), ClassReport(7, class_dim=-1)
    flat.update(scores, target)
    images.update(scores.view(4, 3, 5, 7).permute(0, 3, 1, 2), target.view(4, 3, 5))
    sequence.update(scores.view(4, 15, 7), target.view(4, 15))
    for other in (images, sequence):
        assert torch.equal(other.confusions(), flat.confusions())
        assert torch.equal(other.rank_histogram(), flat.rank_histogram())


def test_an_ignored_row_may_hold_anything():
    scores, target = hard_batch(rows=4, nan=0.0)
    scores[1], target[1] = math.nan, -100
    report = ClassReport(7, ignore_index=-100)
    report.update(scores, target)
    assert report.compute()["nan_rows"] == 0
    assert report.rank_histogram().sum() == 3
    small = ClassReport(7, ignore_index=-100)  # -100 is not 156
    small.update(torch.zeros(1, 7), torch.tensor([6], dtype=torch.uint8))
    assert small.rank_histogram().sum() == 1


def test_curve_is_the_accuracy_at_each_k_with_wilsons_interval():
    scores, target = hard_batch()
    report = ClassReport(7)
    report.update(scores, target)
    curve = report.accuracy_curve(level=0.9)
    assert curve.k.tolist() == list(range(1, 8))
    torch.testing.assert_close(curve.accuracy, topk_accuracy(scores, target, tuple(range(1, 8))))
    expected = wilson_interval(curve.accuracy.double(), torch.tensor(200.0).double(), 0.9)
    torch.testing.assert_close(torch.stack([curve.low, curve.high], 1), expected)
    assert report.accuracy_curve(3).accuracy.tolist() == curve.accuracy[:3].tolist()


def test_most_confused_takes_both_directions_together():
    pairs = report_of(ANIMALS, ["cat", "dog", "owl"]).most_confused()
    assert [(pair.first, pair.second, pair.first_as_second, pair.second_as_first) for pair in pairs] == [
        ("dog", "cat", 4, 2),
        ("cat", "owl", 3, 2),
        ("owl", "dog", 3, 1),
    ]
    assert [pair.total for pair in pairs] == [4 + 2, 3 + 2, 3 + 1]
    assert (pairs[0].first_index, pairs[0].second_index, pairs[0].first_images, pairs[0].second_images) == (
        1,
        0,
        50,
        55,
    )
    assert report_of(ANIMALS).most_confused(1)[0].first == "class 1"
    assert report_of(torch.eye(3, dtype=torch.long)).most_confused() == []


def test_nearly_right_counts_the_true_class_at_rank_2_to_k():
    scores = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]])
    report = ClassReport(3, (1, 2), ["a", "b", "c"])
    report.update(scores, torch.tensor([0, 1, 1, 0]))
    (only,) = report.nearly_right()
    assert (only.name, only.index, only.images, only.right, only.nearly, only.k) == ("b", 1, 2, 0, 2, 2)
    assert report.nearly_right(1) == []


def test_forward_returns_the_values_of_the_batch_alone():
    scores, target = hard_batch(nan=0.0)
    report = ClassReport(7)
    report.update(scores[:50], target[:50])
    own = report(scores[50:].requires_grad_(), target[50:])
    alone = ClassReport(7)
    alone.update(scores[50:], target[50:])
    torch.testing.assert_close(own["recall"], alone.compute()["recall"], equal_nan=True)
    assert report.rank_histogram().sum() == 200
    assert not own["accuracy"].requires_grad


def test_nothing_seen_is_nan(kept_as):
    report = ClassReport(4, (1, 2))
    report.update(torch.empty(0, 4), torch.empty(0, dtype=torch.long))
    values = report.compute()
    assert all(
        value.isnan().all() for name, value in values.items() if name not in ("support", "predicted", "nan_rows")
    )
    assert values["support"].tolist() == [0] * 4
    assert report.confusions().shape == (0, 3)
    assert report.most_confused() == report.nearly_right() == []
    assert report.accuracy_curve().accuracy.isnan().all()


def test_pickle_copies_state_dict_reset_and_half(kept_as):
    scores, target = hard_batch()
    report = ClassReport(7)
    report.persistent(True)
    report.update(scores[:100], target[:100])
    loaded = ClassReport(7)
    loaded.persistent(True)
    saved = report.state_dict()
    loaded.load_state_dict(dict(saved))
    others = [pickle.loads(pickle.dumps(report)), copy.deepcopy(report), report.clone(), loaded]
    report.update(scores[100:], target[100:])
    for other in others:
        assert other.rank_histogram().sum() == 100
        other.half().to("cpu").update(scores[100:], target[100:])
        assert torch.equal(other.confusions(), report.confusions())
        assert torch.equal(other.rank_histogram(), report.rank_histogram())
    assert saved[report._names["histogram"]].sum() == 100  # what was saved is left alone
    report.reset()
    assert report.confusions().shape == (0, 3)
    assert report.rank_histogram().sum() == 0


def test_merge_adds_what_another_report_counted(kept_as):
    scores, target = hard_batch()
    whole, first, second = ClassReport(7), ClassReport(7), ClassReport(7)
    whole.update(scores, target)
    first.update(scores[:60], target[:60])
    second.update(scores[60:], target[60:])
    first.merge_state(second)
    first.merge_state(ClassReport(7).metric_state)
    assert torch.equal(first.confusions(), whole.confusions())
    assert torch.equal(first.rank_histogram(), whole.rank_histogram())
    assert second.rank_histogram().sum() == 140
    with pytest.raises(ValueError, match="incoming_state must come from a ClassReport of the same settings"):
        first.merge_state(ClassReport(7, (1, 3)))


def test_counting_goes_on_after_a_reset_in_inference_mode(kept_as):
    scores, target = hard_batch()
    report = ClassReport(7)
    with torch.inference_mode():
        report.update(scores, target)
        report.reset()
    report.update(scores, target)
    report.update(scores, target)
    assert report.rank_histogram().sum() == 400


def test_what_is_returned_does_not_change_with_later_batches(kept_as):
    scores, target = hard_batch()
    report = ClassReport(7)
    report.update(scores, target)
    before = [report.rank_histogram(), report.confusions(), report.compute()["support"], report.compute()["nan_rows"]]
    copies = copy.deepcopy(before)
    report.update(scores, target)
    assert all(torch.equal(one, other) for one, other in zip(before, copies, strict=True))


def test_a_collection_keeps_reports_of_different_settings_apart():
    reports = {
        "k3": ClassReport(7, 3),
        "k5": ClassReport(7, 5),
        "ignoring": ClassReport(7, 3, ignore_index=6),
        "same": ClassReport(7, 3),
    }
    collection = MetricCollection(reports)
    for seed in range(3):
        collection.update(torch.eye(7), torch.arange(7) if seed < 1 else torch.arange(7).roll(seed))
    values = collection.compute()
    assert {key for key in values if "top3" in key and "k5" in key} == set()
    assert sorted(map(len, collection.compute_groups.values())) == [1, 1, 2]
    assert collection["ignoring"].rank_histogram().sum() == 18
    assert collection["same"].rank_histogram().sum() == 21


@pytest.mark.parametrize(
    ("classes", "ks"), [(2, (1,)), (3, (1,)), (4, (1, 3)), (5, (1, 3)), (6, (1, 5)), (100, (1, 5))]
)
def test_a_k_that_was_not_given_fits_the_classes(classes, ks):
    assert ClassReport(classes).k == ks


def test_two_classes_of_one_name_are_told_apart_where_they_are_shown():
    table = torch.tensor([[3, 0, 2, 0], [0, 5, 0, 0], [1, 0, 4, 0], [0, 0, 0, 5]])
    report = report_of(table, ["crane", "heron", "crane", "stork"])
    (pair,) = report.most_confused()
    assert (pair.first, pair.second) == ("crane (0)", "crane (2)")
    assert report.class_names == ["crane", "heron", "crane", "stork"]


def test_a_confusion_matrix_makes_the_report_that_its_rows_make(kept_as):
    told, counted = ClassReport.from_confusion(ANIMALS.tolist(), ["cat", "dog", "owl"]), report_of(ANIMALS)
    assert repr(told.compute()) == repr(counted.compute())
    assert torch.equal(told.confusions(), counted.confusions())
    assert told.compute()["accuracy"] == torch.tensor(135 / 150)
    told.merge_state(ClassReport.from_confusion(ANIMALS))
    assert told.compute()["support"].tolist() == [110, 100, 90]


def test_predicted_labels_make_the_report_that_scores_make_but_no_ranks(kept_as):
    scores, target = hard_batch(nan=0.0)
    labels, counted = ClassReport(7, 1, ignore_index=3), ClassReport(7, 1, ignore_index=3)
    for part, of_part in zip(scores.split(60), target.split(60), strict=True):
        labels.update_labels(topk_indices(part, 1).squeeze(1), of_part)
        counted.update(part, of_part)
    assert repr(labels.compute()) == repr(counted.compute())
    assert torch.equal(labels.confusions(), counted.confusions())
    assert labels.accuracy_curve(1).accuracy == counted.accuracy_curve(1).accuracy
    misses = int((labels.confusions()[:, 0] != labels.confusions()[:, 1]).mul(labels.confusions()[:, 2]).sum())
    sentence = (
        f"the report must know the rank of each target, got {misses} misses of which only the predicted class is known. "
        "Update the report with the scores of all classes."
    )
    for ranks in (labels.rank_histogram, labels.accuracy_curve):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            ranks()


def test_it_has_no_single_picture_and_says_what_to_draw():
    with pytest.raises(NotImplementedError, match=r"^ClassReport has no single picture: draw accuracy_curve\(\)"):
        report_of(ANIMALS).plot()


def sparse_report(classes, batches, rows):
    report = ClassReport(classes)
    generator = torch.Generator().manual_seed(0)
    for _ in range(batches):
        target = torch.randint(50, (rows,), generator=generator)
        scores = torch.zeros(rows, classes)
        scores[torch.arange(rows), target + torch.randint(2, (rows,), generator=generator)] = 1.0
        report.update(scores, target)
    return report


def test_21841_classes_take_memory_for_the_pairs_that_occur(monkeypatch):
    monkeypatch.setattr(confusions, "_PENDING", 64)
    report = sparse_report(21_841, 40, 32)
    parts = report.state("confusions")
    assert sum(len(part) for part in parts) <= 2 * (50 * 2) + 64 + 32  # not the 1280 rows
    pairs = report.confusions()
    assert pairs[:, 2].sum() == 40 * 32
    assert len(pairs) <= 100
    assert torch.equal(pairs[:, :2], pairs[:, :2].unique(dim=0))
    states = [report.metric_state[name] for name in report.metric_state if name != report._names["confusions"]]
    assert sum(state.numel() for state in states) < 5 * 21_841
    sentence = (
        "num_classes must be at most 2048 for a table of all pairs, got 21841. "
        "Use confusions(), which lists the pairs that occur."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        report.confusion_matrix()


def test_a_lightning_module_counts_in_test_step_and_a_checkpoint_within_an_epoch_keeps_the_counts(kept_as, tmp_path):
    import pytorch_lightning as pl
    from torch.utils.data import DataLoader, TensorDataset

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = nn.Linear(7, 7)
            self.report = ClassReport(7)
            self.report.persistent(True)

        def training_step(self, batch, batch_idx):
            logits = self.network(batch[0])
            self.report.update(logits.detach(), batch[1])
            return nn.functional.cross_entropy(logits, batch[1])

        def test_step(self, batch, batch_idx):
            self.report.update(batch[0], batch[1])

        def on_test_epoch_end(self):
            values = self.report.compute()
            self.log_dict({name: value.float() for name, value in values.items() if value.ndim == 0})

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    scores, target = hard_batch(rows=60, nan=0.0)
    scores = scores.clamp(min=0)
    loader = DataLoader(TensorDataset(scores, target), batch_size=10)
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    module = Module()
    (logged,) = pl.Trainer(enable_checkpointing=False, **options).test(module, loader, verbose=False)
    expected = ClassReport(7)
    expected.update(scores, target)
    assert logged["macro_f1"] == pytest.approx(expected.compute()["macro_f1"].item())

    module.report.reset()
    saver = pl.callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=4, save_top_k=-1, filename="{step}")
    pl.Trainer(max_steps=5, callbacks=[saver], **options).fit(module, loader)
    restored = Module()
    restored.load_state_dict(torch.load(tmp_path / "step=4.ckpt", weights_only=True)["state_dict"])
    assert restored.report.rank_histogram().sum() == 4 * 10
    assert restored.report.confusions()[:, 2].sum() == 4 * 10


FILLED = report_of(ANIMALS, ["cat", "dog", "owl"])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: ClassReport(1), ValueError, "num_classes must be at least 2, got 1."),
        (
            lambda: ClassReport(3, 5),
            ValueError,
            "k must be at most the number of classes (3), got 5. Use a smaller k.",
        ),
        (
            lambda: ClassReport(3, 1, ["cat", "dog"]),
            ValueError,
            "class_names must hold 3 names, one a class, got 2.",
        ),
        (
            lambda: ClassReport(3, 1, "cat"),
            TypeError,
            "class_names must be a list of names, {index: name} or {name: index}, got str.",
        ),
        (
            lambda: FILLED.update(torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)),
            ValueError,
            "preds must hold the scores of 3 classes (num_classes), got 4.",
        ),
        (
            lambda: FILLED.update(torch.zeros(2, 3), torch.full((2, 3), 1 / 3)),
            TypeError,
            "target must hold class indices, got a float tensor of the shape of preds. "
            "For a distribution over classes use TopKAccuracy.",
        ),
        (
            lambda: FILLED.update(torch.zeros(2, 3), torch.tensor([0, -1])),
            ValueError,
            "target must hold class indices in [0, 3), got -1. Did you mean ignore_index=-1?",
        ),
        (lambda: FILLED.nearly_right(2), ValueError, "k must be one of 1, which the report was made for, got 2."),
        (lambda: FILLED.most_confused(0), ValueError, "n must be at least 1, got 0."),
        (
            lambda: ClassReport.from_confusion([[1, 2]]),
            ValueError,
            "matrix must have shape (C, C), got (1, 2).",
        ),
        (
            lambda: ClassReport.from_confusion([[0.5, 0.5], [0.0, 1.0]]),
            TypeError,
            "matrix must hold counts of an integer dtype, got torch.float32.",
        ),
        (
            lambda: ClassReport.from_confusion([[1, -2], [0, 1]]),
            ValueError,
            "matrix must hold counts of at least 0, got -2.",
        ),
        (
            lambda: ClassReport(4).update_labels(torch.tensor([0]), torch.tensor([0])),
            ValueError,
            "k must be 1 where only predicted labels are known, got (1, 3).",
        ),
        (
            lambda: FILLED.update_labels(torch.tensor([3]), torch.tensor([0])),
            ValueError,
            "predicted must hold class indices in [0, 3), got 3. Class indices start at 0.",
        ),
        (
            lambda: FILLED.update_labels(torch.tensor([1, 2]), torch.tensor([0])),
            ValueError,
            "predicted must have the shape of target (1,), got (2,).",
        ),
        (
            lambda: FILLED.accuracy_curve(4),
            ValueError,
            "max_k must be at most the number of classes (3), got 4. Use a smaller max_k.",
        ),
        (
            lambda: FILLED.accuracy_curve(level=95),
            ValueError,
            "level must lie between 0 and 1, got 95. Did you mean 0.95?",
        ),
    ],
)
def test_every_mistake_gets_its_sentence(call, error, sentence):
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        call()
