"""timm's Mixup: its mixed images and soft targets with every loss, every accuracy, and a classifier in training."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset, default_collate

from tests.classifier.small import quiet
from topk_lightning import TopKAccuracies, TopKAccuracy, TopKClassifier, losses

Mixup = pytest.importorskip("timm.data", reason="timm is not installed").Mixup

CLASSES = 6
LOSSES = [name for name in losses.__all__ if name.endswith("Loss")]


def mixed(rows=8, size=16):
    torch.manual_seed(0)
    target = torch.arange(rows) % CLASSES
    return Mixup(mixup_alpha=0.4, label_smoothing=0.1, num_classes=CLASSES)(torch.randn(rows, 3, size, size), target)[1]


def loss_of(name, **options):
    counts = {"class_counts": [9, 7, 5, 3, 2, 1]} if name == "LogitAdjustedCrossEntropyLoss" else {}
    return getattr(losses, name)(**counts, **options)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "NoisedTopKHingeLoss"])  # which draws noise
def test_a_mixed_row_costs_what_its_classes_cost_in_these_shares(name):
    target, logits = mixed(), torch.randn(8, CLASSES, dtype=torch.float64)
    loss = loss_of(name, reduction="none")
    of_each_class = torch.stack([loss(logits, torch.full((8,), index)) for index in range(CLASSES)], dim=1)
    torch.testing.assert_close(loss(logits, target.double()), (target.double() * of_each_class).sum(1))


def test_accuracies_count_expected_hits():
    target, preds = mixed(), torch.randn(8, CLASSES)
    inside = torch.zeros(8, CLASSES).scatter(1, preds.topk(3).indices, 1.0)
    expected = (target * inside).sum() / 8
    metric, several = TopKAccuracy(3), TopKAccuracies((1, 3))
    metric.update(preds, target)
    several.update(preds, target)
    torch.testing.assert_close(metric.compute(), expected)
    torch.testing.assert_close(several.compute()["top3"], expected)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")
def test_a_classifier_trains_on_its_batches(name, tmp_path):
    mixup = Mixup(mixup_alpha=0.4, cutmix_alpha=1.0, num_classes=CLASSES)
    data = TensorDataset(torch.randn(8, 3, 16, 16), torch.arange(8) % CLASSES)
    loader = DataLoader(data, batch_size=4, collate_fn=lambda rows: mixup(*default_collate(rows)), drop_last=True)
    network = {"class_path": "small_cnn", "init_args": {"width": 4}}
    trainer = quiet(tmp_path)
    trainer.fit(TopKClassifier(network, CLASSES, loss=loss_of(name)), loader)
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert 0 <= trainer.callback_metrics["train/top1"] <= 1
