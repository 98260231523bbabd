"""The metrics in real Learners: exact over batches of unequal size, for each kind of target, and refused as a loss."""

import os
import pickle
import re
from functools import partial

import pytest
import torch
from torch import nn

from tests.distributed import run_processes
from tests.integrations.learners import learner, scores_learner, vision
from topk_lightning import functional, metrics
from topk_lightning.integrations.fastai import MultilabelTopKAccuracy, TopKAccuracy

# What fastai calls of numpy when it loads weights.
pytestmark = pytest.mark.filterwarnings("ignore:.*numpy.core is deprecated:DeprecationWarning")


def ranked(ranks, num_classes=6):
    """Scores and targets of rows whose target has the given ranks."""
    target = torch.arange(len(ranks)) % num_classes
    scores = torch.zeros(len(ranks), num_classes)
    for row, rank in enumerate(ranks):
        others = [c for c in range(num_classes) if c != target[row]]
        order = [*others[:rank], int(target[row]), *others[rank:]]
        scores[row, order] = torch.arange(num_classes, 0, -1.0)
    return scores, target


RANKS = [0, 2, 1, 5, 3, 0, 2, 4, 1, 0, 2]  # 11 rows: batches of 4, 4 and 3


def test_it_counts_rows_where_a_mean_over_batches_would_be_off():
    learn = scores_learner(*ranked(RANKS), metrics=[vision.accuracy, *(TopKAccuracy(k) for k in (1, 3, 5))])
    _, accuracy, top1, top3, top5 = learn.validate()
    assert (top1, top3, top5) == pytest.approx((3 / 11, 8 / 11, 10 / 11))
    assert accuracy == pytest.approx(3 / 11)
    assert top3 != pytest.approx((3 / 4 + 2 / 4 + 3 / 3) / 3)


def test_macro_is_over_all_rows_and_not_a_mean_of_batches():
    scores, target = ranked(RANKS, num_classes=6)
    metric = TopKAccuracy(2, average="macro", num_classes=6)
    # Ranks by class, six classes in turn: (0, 2), (2, 4), (1, 1), (5, 0), (3, 2), (0,).
    expected = (1 / 2 + 0 + 1 + 1 / 2 + 0 + 1) / 6
    assert scores_learner(scores, target, metrics=[metric]).validate()[1] == pytest.approx(expected)
    assert metric.name == "top2_macro"


def test_the_columns_of_the_recorder_bear_their_names():
    learn = learner(metrics=[TopKAccuracy(2), TopKAccuracy(1, name="first"), MultilabelTopKAccuracy(2, "recall")])
    assert [metric.name for metric in learn.metrics] == ["top2", "first", "top2_recall"]


def test_training_and_validation_are_counted_apart():
    learn = scores_learner(*ranked(RANKS), metrics=[TopKAccuracy(3)], lr=0.0)
    learn.recorder.train_metrics = True
    learn.dls.loaders[1] = learn.dls[1].new(dataset=torch.utils.data.TensorDataset(*ranked([0, 5, 0])))
    with learn.no_bar(), learn.no_logging():
        learn.fit(2)
    assert learn.recorder.metric_names[1:-1] == ["train_loss", "train_top3", "valid_loss", "valid_top3"]
    for row in learn.recorder.values:
        assert (row[1], row[3]) == pytest.approx((8 / 11, 2 / 3))


def validate_in_processes(rank, world_size):
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size))  # as accelerate launches them
    from fastai.distributed import DistributedDL

    class OnCPU(DistributedDL):
        def _broadcast(self, values, source):  # fastai's own sends them over a GPU
            values = torch.tensor(values)
            torch.distributed.broadcast(values, source)
            return values.tolist()

    learn = scores_learner(*ranked(RANKS), metrics=[TopKAccuracy(3)])
    part = OnCPU(vision.TfmdDL(learn.dls.valid.dataset, bs=2, num_workers=0), rank, world_size)
    return learn.validate(dl=part)[1], sum(len(batch[0]) for batch in part)


def test_two_processes_count_the_rows_of_both_and_repeated_ones_once():
    pytest.importorskip("accelerate", reason="fastai trains in several processes only with accelerate")
    (first, rows), (second, others) = run_processes(validate_in_processes, 2)
    assert rows + others == len(RANKS) + 1
    assert first == second == pytest.approx(8 / 11)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [("any", 2 / 3), ("all", 1 / 3), ("recall", (1 / 2 + 1 + 0) / 3), ("precision", (1 / 2 + 1 / 2 + 0) / 3)],
)
def test_multi_hot_targets(criterion, expected):
    scores = torch.tensor([[4.0, 3, 2, 1], [1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4]])
    target = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    metric = MultilabelTopKAccuracy(2, criterion)
    learn = scores_learner(scores, target, bs=3, loss_func=vision.BCEWithLogitsLossFlat(), metrics=[metric])
    assert learn.validate()[1] == pytest.approx(expected)


def test_distributions_over_classes_count_their_mass():
    scores, target = torch.tensor([[3.0, 2, 1], [1, 2, 3]]), torch.tensor([[0.5, 0.2, 0.3], [1.0, 0, 0]])
    learn = scores_learner(scores, target, metrics=[TopKAccuracy(2)])
    assert learn.validate()[1] == pytest.approx((0.7 + 0.0) / 2)


def test_sequences_with_the_classes_last():
    scores, target = ranked([(7 * n) % 6 for n in range(20 * 55)])
    scores, target = scores.view(20, 55, 6), target.view(20, 55)
    loss = functional.topk_cross_entropy_loss
    learn = scores_learner(
        scores, target, bs=16, loss_func=lambda s, t: loss(s, t, class_dim=-1), metrics=[TopKAccuracy(3, class_dim=-1)]
    )
    hits = sum((7 * n) % 6 < 3 for n in range(20 * 55))
    assert learn.validate()[1] == pytest.approx(hits / (20 * 55))


def test_the_best_weights_are_saved_by_it(tmp_path):
    save = vision.SaveModelCallback(monitor="top3", fname="best")
    learn = scores_learner(*ranked(RANKS), metrics=[TopKAccuracy(3)], cbs=[save], path=tmp_path)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    assert save.best == pytest.approx(8 / 11)
    assert (tmp_path / "models" / "best.pth").is_file()


def test_rows_without_a_target_are_not_counted():
    learn = scores_learner(*ranked(RANKS), metrics=[TopKAccuracy(3)])
    learn.dls.n_inp = 1
    rows = torch.utils.data.TensorDataset(ranked(RANKS)[0])
    with learn.no_bar():
        preds, _ = learn.get_preds(dl=vision.DataLoader(rows, bs=4, num_workers=0))
    assert preds.shape == (11, 6)
    assert learn.metrics[0].value is None


def test_it_pickles_with_what_it_has_counted():
    learn = scores_learner(*ranked(RANKS), metrics=[TopKAccuracy(3)])
    learn.validate()
    assert pickle.loads(pickle.dumps(learn.metrics[0])).value == learn.metrics[0].value


@pytest.mark.parametrize(
    ("metric", "target", "sentence"),
    [
        (TopKAccuracy(7), torch.zeros(2, dtype=torch.long), "k must be at most the number of classes (6), got 7."),
        (TopKAccuracy(2), torch.ones(2, 6), "MultilabelTopKAccuracy"),
        (MultilabelTopKAccuracy(2), torch.zeros(2, dtype=torch.long), "For one class index a row use TopKAccuracy."),
    ],
    ids=["k", "multi-hot", "index"],
)
def test_what_does_not_fit_is_an_error_that_says_so(metric, target, sentence):
    learn = scores_learner(torch.randn(2, 6), target, metrics=[metric], loss_func=lambda s, t: s.sum())
    with pytest.raises(ValueError, match=re.escape(sentence)):
        learn.validate()


METRICS = {
    "TopKAccuracy": metrics.TopKAccuracy(k=2),
    "topk_accuracy": metrics.topk_accuracy,
    "multilabel_topk_accuracy": metrics.multilabel_topk_accuracy,
    "MultilabelTopKAccuracy": metrics.MultilabelTopKAccuracy(k=2),
}
LEARNER_METRICS = {"TopKAccuracy": TopKAccuracy(2), "MultilabelTopKAccuracy": MultilabelTopKAccuracy(2)}


@pytest.mark.parametrize("with_loss", [False, True], ids=["fit", "get_preds"])
@pytest.mark.parametrize(
    ("name", "metric"),
    [*METRICS.items(), *LEARNER_METRICS.items()],
    ids=[*METRICS, *(f"Learner-{n}" for n in LEARNER_METRICS)],
)
def test_a_metric_as_a_loss_says_why_it_has_no_gradient(name, metric, with_loss):
    target = torch.eye(6)[:4] if "ultilabel" in name else torch.arange(4)
    learn = scores_learner(torch.randn(4, 6), target, loss_func=metric)
    sentence = (
        f"loss must be differentiable, got {name}, which counts hits: a count does not change with a small step of the "
        "logits, so it has no gradient. Train with torch.nn.CrossEntropyLoss or topk_lightning.SmoothTopKSVMLoss and keep "
        "the metric to measure."
    )
    use = partial(learn.get_preds, with_loss=True) if with_loss else partial(learn.fit, 1)
    with learn.no_bar(), pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        use()


def test_mixup_comes_as_far_as_the_sentence():
    learn = scores_learner(torch.randn(4, 6), torch.arange(4), loss_func=metrics.TopKAccuracy(2))
    with (
        learn.no_bar(),
        pytest.raises(TypeError, match=r"^loss must be differentiable, got TopKAccuracy, which counts"),
    ):
        learn.fit(1, cbs=vision.MixUp())


@pytest.mark.parametrize("metric", [metrics.TopKAccuracy(2), metrics.MultilabelTopKAccuracy(2)])
def test_a_metric_of_torchmetrics_names_its_twin(metric):
    target = torch.eye(6)[:4] if isinstance(metric, metrics.MultilabelTopKAccuracy) else torch.arange(4)
    loss = nn.BCEWithLogitsLoss() if target.ndim == 2 else nn.CrossEntropyLoss()
    learn = scores_learner(torch.randn(4, 6), target, loss_func=loss, metrics=[metric])
    name = type(metric).__name__
    sentence = (
        f"metrics must hold metrics of fastai, got topk_lightning.{name}. "
        f"Did you mean topk_lightning.integrations.fastai.{name}?"
    )
    with learn.no_bar(), learn.no_logging(), pytest.raises(TypeError, match=f"{re.escape(sentence)}$"):
        learn.fit(1)


def test_cross_entropy_beside_it_trains():
    learn = learner(metrics=[TopKAccuracy(2)], loss_func=nn.CrossEntropyLoss())
    before = learn.model.weight.detach().clone()
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    assert not torch.equal(before, learn.model.weight)
