"""topk_accuracies: one reading of the scores for several k, as a MetricCollection in every use."""

from __future__ import annotations

import copy
import pickle

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassF1Score

from topk_lightning.metrics import TopKAccuracies, TopKAccuracy, _counting, topk_accuracy


def batch(rows=64, classes=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, classes, generator=generator), torch.randint(classes, (rows,), generator=generator)


def expected(scores, target, prefix="", ks=(1, 3, 5)):
    return {f"{prefix}top{k}": topk_accuracy(scores, target, k) for k in ks}


@pytest.fixture
def readings(monkeypatch):
    """Count how often scores are read."""
    seen = []
    original = _counting.count_ahead

    def counted(*args, **kwargs):
        seen.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(_counting, "count_ahead", counted)
    return seen


def test_keys_and_values():
    scores, target = batch()
    metrics = TopKAccuracies(prefix="val/", postfix="_epoch")
    metrics.update(scores, target)
    assert metrics.compute() == {f"val/top{k}_epoch": topk_accuracy(scores, target, k) for k in (1, 3, 5)}


def test_scores_are_read_once_an_update_and_once_a_forward(readings):
    metrics = TopKAccuracies()
    for call in (metrics.update, metrics, metrics.update, metrics):
        readings.clear()
        call(*batch())
        assert len(readings) == 1


def test_forward_gives_the_batch_and_compute_the_whole():
    metrics, (scores, target) = TopKAccuracies(), batch()
    assert metrics(scores[:20], target[:20]) == expected(scores[:20], target[:20])
    assert metrics(scores[20:], target[20:]) == expected(scores[20:], target[20:])
    assert metrics.compute() == expected(scores, target)


def test_clone_pickle_deepcopy_and_state_dict():
    metrics, (scores, target) = TopKAccuracies(prefix="val/"), batch()
    metrics.persistent(True)
    metrics.update(scores[:20], target[:20])
    loaded = TopKAccuracies(prefix="val/")
    loaded.load_state_dict(metrics.state_dict())
    for other in (metrics.clone(), pickle.loads(pickle.dumps(metrics)), copy.deepcopy(metrics), loaded):
        assert isinstance(other, TopKAccuracies)
        other.update(scores[20:], target[20:])
        assert other.compute() == expected(scores, target, "val/")
    assert list(metrics.clone(prefix="test/").compute()) == ["test/top1", "test/top3", "test/top5"]
    assert metrics.compute() == expected(scores[:20], target[:20], "val/")


def test_merge_state_adds_every_member():
    left, right, (scores, target) = TopKAccuracies(), TopKAccuracies(), batch()
    left.update(scores[:20], target[:20])
    right.update(scores[20:], target[20:])
    left.merge_state(right)
    assert left.compute() == expected(scores, target)
    with pytest.raises(ValueError, match=r"incoming must hold the metrics \['top1', 'top3', 'top5'\], got \['top1'\]."):
        left.merge_state(TopKAccuracies(1))


def test_reset_of_one_member_leaves_the_others():
    metrics, (scores, target) = TopKAccuracies(), batch()
    metrics.update(scores[:20], target[:20])
    metrics["top3"].reset()
    metrics.update(scores[20:], target[20:])
    assert metrics.compute() == {**expected(scores, target), "top3": topk_accuracy(scores[20:], target[20:], 3)}
    metrics.reset()
    metrics.update(scores[:20], target[:20])
    assert metrics.compute() == expected(scores[:20], target[:20])


def test_add_metrics_adds_any_metric():
    metrics, (scores, target) = TopKAccuracies(), batch()
    metrics.add_metrics({"f1": MulticlassF1Score(9), "strict": TopKAccuracy(3, ties="strict")})
    metrics.update(scores, target)
    f1 = MulticlassF1Score(9)
    f1.update(scores, target)
    strict = topk_accuracy(scores, target, 3, ties="strict")
    assert metrics.compute() == {**expected(scores, target), "f1": f1.compute(), "strict": strict}


class Turned(TopKAccuracy):
    """Counts scores that it makes itself and forgets, whose address the next such scores may get."""

    def __init__(self, change):
        super().__init__(1)
        self.change = change

    def update(self, preds, target):
        super().update(self.change(preds), target)


def test_scores_that_a_member_makes_are_never_taken_for_those_of_another():
    metrics = TopKAccuracies((1, 3))
    changes = {"same": lambda p: p * 1, "negative": lambda p: -p, "rolled": lambda p: p.roll(1, 1)}
    metrics.add_metrics({name: Turned(change) for name, change in changes.items()})
    metrics.update(torch.eye(6), torch.arange(6))
    assert {name: metrics.compute()[name].item() for name in changes} == {"same": 1, "negative": 0, "rolled": 0}


@pytest.mark.parametrize("compute_groups", [True, False])
def test_inside_a_users_larger_collection(compute_groups):
    scores, target = batch()
    larger = MetricCollection([TopKAccuracies(), MulticlassF1Score(9)], compute_groups=compute_groups)
    larger.update(scores[:20], target[:20])
    larger["top1"].reset()
    larger.update(scores[20:], target[20:])
    result = larger.compute()
    assert {k: result[k] for k in ("top3", "top5")} == expected(scores, target, ks=(3, 5))
    assert result["top1"] == topk_accuracy(scores[20:], target[20:], 1)


def test_averages_and_sample_weight_reach_every_member():
    scores, target = batch()
    weight = torch.rand(64)
    metrics = TopKAccuracies(num_classes=9, average="macro")
    metrics.update(scores, target, sample_weight=weight)
    for k in (1, 3, 5):
        value = topk_accuracy(scores, target, k, average="macro", sample_weight=weight)
        assert metrics.compute()[f"top{k}"] == value


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 9)
        self.train_topk = TopKAccuracies(prefix="train/")
        self.val_topk = TopKAccuracies(prefix="val/")
        self.top2 = TopKAccuracy(k=2)

    def training_step(self, batch):
        logits = self.layer(batch[0])
        self.train_topk(logits, batch[1])
        self.log_dict(self.train_topk, on_step=True, on_epoch=True)
        return torch.nn.functional.cross_entropy(logits, batch[1])

    def validation_step(self, batch):
        logits = self.layer(batch[0])
        self.val_topk(logits, batch[1])
        self.top2(logits, batch[1])
        self.log_dict(self.val_topk)
        self.log("val/top2", self.top2)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(tmp_path, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=tmp_path, **{**quiet, **options})


@pytest.fixture(scope="module")
def loader():
    torch.manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(50, 4), torch.randint(9, (50,))), batch_size=8)


def test_log_dict_takes_the_collection_and_log_the_metric(tmp_path, loader):
    pl.seed_everything(0)
    module = Classifier()
    run = trainer(tmp_path, max_epochs=2, enable_checkpointing=False)
    run.fit(module, loader, loader)
    images, target = loader.dataset.tensors
    logits = module.layer(images).detach()
    for name, value in {**expected(logits, target, "val/"), "val/top2": topk_accuracy(logits, target, 2)}.items():
        assert run.callback_metrics[name] == value
    assert {"train/top5_step", "train/top5_epoch"} <= set(run.callback_metrics)


def test_mid_epoch_checkpoint_keeps_the_counts_when_asked(tmp_path, loader):
    pl.seed_everything(0)
    module = Classifier()
    module.train_topk.persistent(True)
    saver = pl.callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1)
    trainer(tmp_path, max_epochs=1, callbacks=[saver]).fit(module, loader, loader)
    middle = next(tmp_path.glob("*step=3.ckpt"))
    restored = Classifier()
    restored.train_topk.persistent(True)
    restored.load_state_dict(torch.load(middle, weights_only=True)["state_dict"])
    assert restored.train_topk["top1"].counts.whole.sum() == 3 * 8
    assert torch.equal(restored.train_topk["top1"].counts.whole, restored.train_topk["top5"].counts.whole)
