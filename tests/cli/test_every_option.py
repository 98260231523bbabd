"""Each option of training that is one word of ``fit``: with every loss, and every metric counts what comes out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.classifier.small import quiet
from tests.data.drawings import class_folders
from tests.metrics.test_contract import CLASSES, METRICS
from topk_lightning import losses
from topk_lightning.classifier import TopKClassifier
from topk_lightning.cli import _before_training
from topk_lightning.data import ImageFolderDataModule

HALF = ((0.5,) * 3, (0.5,) * 3)
#: Arguments of the classifier, the data module and the trainer.
OPTIONS = {
    "none": ({}, {}, {}),
    "label-smoothing": ({"label_smoothing": 0.1}, {}, {}),
    "mixup": ({"mixup": 0.4}, {}, {}),
    "cutmix": ({"cutmix": 1.0}, {}, {}),
    "ema": ({"ema": 0.9}, {}, {}),
    "freeze-backbone-epochs": ({"freeze_backbone_epochs": 1}, {}, {}),
    "augment randaugment": ({}, {"augment": "randaugment"}, {}),
    "augment trivialaugment": ({}, {"augment": "trivialaugment"}, {}),
    "balance": ({}, {"balance": True}, {}),
    "clip": ({}, {}, {"gradient_clip_val": 0.1}),
    "find-lr": ({}, {}, {}),
}
LOSSES = [name for name in losses.__all__ if name.endswith("Loss")]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("photos"), dict.fromkeys("abcdefg", 4))


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_it_trains_with_every_loss_and_every_metric_counts(option, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(_before_training, "_STEPS", 30)
    of_classifier, of_data, of_trainer = OPTIONS[option]
    for name in LOSSES:
        torch.manual_seed(0)
        data = ImageFolderDataModule(
            photos, 16, 8, 0, statistics=HALF, check_images=False, val_fraction=0.3, test_fraction=0, **of_data
        )
        classifier = TopKClassifier(network(), CLASSES, loss=getattr(losses, name)(), **of_classifier)
        before = {key: value.clone() for key, value in classifier.network.state_dict().items()}
        trainer = quiet(tmp_path, **of_trainer)
        if option == "find-lr":
            classifier.lr = _before_training.find_lr(trainer, classifier, data)
            assert 1e-5 <= classifier.lr <= 1
        trainer.fit(classifier, data)
        after = classifier.network.state_dict()
        moved = {key for key in before if not torch.equal(before[key], after[key])}
        assert moved >= {"4.weight", "4.bias"}, name
        assert ("0.weight" in moved) == (option != "freeze-backbone-epochs"), name
        assert trainer.callback_metrics["val/loss"].isfinite(), name
        assert 0 <= trainer.callback_metrics["train/top1"] <= 1, name
    images, target = next(iter(data.train_dataloader()))
    with torch.no_grad():
        logits = classifier(images)
    for kind, make in METRICS.items():
        metric = make()
        shown = logits >= logits.median() if kind == "sets" else logits
        metric.update(shown, nn.functional.one_hot(target, CLASSES) if kind == "labels" else target)
        values = metric.compute()
        assert all(value.isfinite().any() for value in (values.values() if isinstance(values, dict) else [values])), (
            kind
        )
