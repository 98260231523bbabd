"""TopKAccuracy and topk_accuracy: counting against loops, the Metric contract, and every sentence."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction

import pytest
import torch
from torchmetrics import MeanMetric, MetricCollection

from topk_lightning.metrics import TopKAccuracies, TopKAccuracy, topk_accuracy
from topk_lightning.ranking import in_topk, target_rank

SCORES = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
TARGET = torch.tensor([1, 2, 3])


def batch(rows=64, classes=9, seed=0, values=6):
    """Scores with many ties, and labels."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(values, (rows, classes), generator=generator).float()
    return scores, torch.randint(classes, (rows,), generator=generator)


def expected_hit(row, label, k):
    """Exact probability that the label is in the top k over all orders of the tied classes."""
    ahead = sum(score > row[label] for score in row)
    tied = sum(score == row[label] for score in row)
    return min(max(Fraction(k - ahead, tied), 0), 1)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_worked_example(k):
    hits = sum(rank < k for rank in (0, 2, 3))
    assert topk_accuracy(SCORES, TARGET, k) == torch.tensor(hits / 3)


@pytest.mark.parametrize("ties", ["index", "strict", "optimistic"])
def test_micro_is_the_mean_of_in_topk(ties):
    scores, target = batch()
    for k in (1, 3, 9):
        expected = in_topk(scores, target, k, ties=ties).double().mean().float()
        assert topk_accuracy(scores, target, k, ties=ties) == expected


def test_expected_ties_are_the_mean_over_all_orders():
    scores, target = batch(classes=5, values=3)
    for k in (1, 2, 5):
        hits = [expected_hit(row, label, k) for row, label in zip(scores.tolist(), target.tolist(), strict=True)]
        assert topk_accuracy(scores, target, k, ties="expected").item() == pytest.approx(float(sum(hits) / len(hits)))


@pytest.mark.parametrize("k", [1, 3, 7])
def test_a_collapsed_model_scores_exactly_k_of_c_with_expected_ties(k):
    scores, target = torch.zeros(30, 10), torch.arange(30) % 10
    assert topk_accuracy(scores, target, k, ties="expected") == torch.tensor(k / 10)
    assert topk_accuracy(scores, target, k, ties="strict") == 0
    assert topk_accuracy(scores, target, k, ties="optimistic") == 1


def test_averages_against_a_loop_over_classes():
    scores, target = batch(classes=9)
    target = target.where(target != 4, 3)  # class 4 never occurs
    hit = in_topk(scores, target, 3).double()
    each = torch.stack([hit[target == c].mean() for c in range(9)])
    result = topk_accuracy(scores, target, 3, average="none")
    assert torch.equal(result.isnan(), torch.arange(9) == 4)
    torch.testing.assert_close(result, each.float(), equal_nan=True)
    torch.testing.assert_close(topk_accuracy(scores, target, 3, average="macro"), each[~each.isnan()].mean().float())
    assert topk_accuracy(scores, target, 3, average="weighted") == hit.mean().float()


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
@pytest.mark.parametrize("ties", ["index", "strict", "optimistic", "expected"])
def test_soft_target_is_the_expected_hit(average, ties):
    scores, _ = batch(rows=20, classes=6, values=4)
    target = torch.rand(20, 6, generator=torch.Generator().manual_seed(1)).softmax(1)
    target = target.where(target > 0.15, 0)
    target /= target.sum(1, keepdim=True)
    # The same rows, written out: each (row, class) pair is a row of weight target_c.
    rows, labels = target.nonzero(as_tuple=True)
    expected = topk_accuracy(
        scores[rows], labels, (1, 3), average=average, ties=ties, sample_weight=target[rows, labels]
    )
    result = topk_accuracy(scores, target, (1, 3), average=average, ties=ties)
    torch.testing.assert_close(result, expected, equal_nan=True)


def test_soft_target_by_hand():
    target = torch.tensor([[0.25, 0.0, 0.75, 0.0]])
    scores = torch.tensor([[0.9, 0.8, 0.1, 0.0]])
    assert topk_accuracy(scores, target, (1, 2, 3, 4)).tolist() == [0.25, 0.25, 1.0, 1.0]


@pytest.mark.parametrize("ties", ["index", "strict", "optimistic", "expected"])
@pytest.mark.parametrize("average", ["micro", "none"])
def test_one_hot_float_target_equals_the_integer_target(ties, average):
    scores, target = batch()
    one_hot = torch.nn.functional.one_hot(target, 9).float()
    hard = topk_accuracy(scores, target, (1, 5), ties=ties, average=average)
    torch.testing.assert_close(topk_accuracy(scores, one_hot, (1, 5), ties=ties, average=average), hard, equal_nan=True)


def test_soft_target_with_a_nan_score_is_no_hit():
    scores = torch.tensor([[math.nan, 1.0, 0.0]])
    target = torch.tensor([[0.5, 0.5, 0.0]])
    assert topk_accuracy(scores, target, (1, 2, 3)).tolist() == [0.0, 0.5, 0.5]
    assert topk_accuracy(scores, target, 3, ties="strict").item() == 0.5


def test_sample_weight_weighs_rows():
    scores, target = batch()
    weight = torch.rand(64, generator=torch.Generator().manual_seed(0))
    hit = in_topk(scores, target, 2).double()
    expected = ((weight.double() * hit).sum() / weight.double().sum()).float()
    torch.testing.assert_close(topk_accuracy(scores, target, 2, sample_weight=weight), expected)
    doubled = topk_accuracy(torch.cat([scores, scores[:7]]), torch.cat([target, target[:7]]), 2)
    twice = topk_accuracy(scores, target, 2, sample_weight=1.0 + (torch.arange(64) < 7))
    torch.testing.assert_close(twice, doubled)


@pytest.mark.parametrize("soft_or_weighted", [False, True])
def test_ignored_rows_may_hold_anything(soft_or_weighted):
    scores, target = batch()
    scores[:10], target[:10] = math.nan, -100
    weight = torch.ones(64) if soft_or_weighted else None
    if weight is not None:
        weight[:10] = math.nan
    result = topk_accuracy(scores, target, 3, ignore_index=-100, sample_weight=weight)
    assert result == topk_accuracy(scores[10:], target[10:], 3)
    per_class = topk_accuracy(scores, target, 3, ignore_index=-100, average="none", sample_weight=weight)
    torch.testing.assert_close(
        per_class, topk_accuracy(scores[10:], target[10:], 3, average="none"), rtol=0, atol=0, equal_nan=True
    )


def test_an_ignored_index_that_the_dtype_cannot_hold_ignores_nothing():
    scores, target = batch(classes=200)
    target[:9] = 156  # -100 modulo 256
    metric = TopKAccuracy(5, ignore_index=-100)
    metric.update(scores, target.to(torch.uint8))
    assert metric.counts.whole.sum() == 64


def test_sequences_with_class_dim_last():
    generator = torch.Generator().manual_seed(0)
    scores, target = torch.randn(16, 55, 12, generator=generator), torch.randint(12, (16, 55), generator=generator)
    flat = topk_accuracy(scores.reshape(-1, 12), target.reshape(-1), 3)
    assert topk_accuracy(scores, target, 3, class_dim=-1) == flat
    assert topk_accuracy(scores.movedim(-1, 1), target, 3) == flat
    soft = torch.nn.functional.one_hot(target, 12).float()
    torch.testing.assert_close(topk_accuracy(scores, soft, 3, class_dim=-1), flat)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("integer", [torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64])
def test_every_dtype(dtype, integer):
    scores, target = batch()
    assert topk_accuracy(scores.to(dtype), target.to(integer), 3) == topk_accuracy(scores, target, 3)


def test_nothing_seen_is_nan():
    metric = TopKAccuracy(k=2)
    metric.update(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert metric.compute().isnan()
    assert topk_accuracy(SCORES, torch.full((3,), -1), 2, ignore_index=-1).isnan()


def test_batches_add_up_to_the_whole_whatever_their_size():
    scores, target = batch(rows=300)
    for average in ("micro", "macro", "weighted", "none"):
        metric = TopKAccuracy(k=3, num_classes=9, average=average)
        for part in (slice(0, 1), slice(1, 1), slice(1, 200), slice(200, 300)):
            metric.update(scores[part], target[part])
        whole = topk_accuracy(scores, target, 3, average=average)
        torch.testing.assert_close(metric.compute(), whole, rtol=0, atol=0, equal_nan=True)


def test_forward_returns_the_value_of_the_batch_and_counts_it_once():
    scores, target = batch()
    metric = TopKAccuracy(k=2)
    assert metric(scores[:20], target[:20]) == topk_accuracy(scores[:20], target[:20], 2)
    assert metric(scores[20:], target[20:]) == topk_accuracy(scores[20:], target[20:], 2)
    assert metric.compute() == topk_accuracy(scores, target, 2)
    assert metric.counts.whole.sum() == 64


def test_counts_stay_exact_beyond_2_to_the_24():
    metric = TopKAccuracy(k=1)
    metric.update(SCORES, TARGET)
    state = {name: value * 2**26 for name, value in metric.metric_state.items()}
    metric.merge_state(state)
    metric.update(SCORES, TARGET)
    assert metric.counts.whole.tolist() == [2**26 + 2, 2 * (2**26 + 2)]


def test_sums_of_fractions_are_kept_in_float64():
    metric = TopKAccuracy(k=1)
    for _ in range(3):
        metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), torch.tensor([2.0**24]))
        metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), torch.tensor([1.0]))
    assert metric.counts.fractional[:2].tolist() == [3 * 2.0**24, 3.0]


def test_reset_forgets_everything():
    metric = TopKAccuracy(k=1)
    metric.update(*batch(classes=4))
    metric.reset()
    metric.update(SCORES, TARGET)
    assert metric.compute() == topk_accuracy(SCORES, TARGET, 1)


def test_merge_state_adds_and_refuses_other_settings():
    scores, target = batch()
    left, right = TopKAccuracy(k=2), TopKAccuracy(k=2)
    left.update(scores[:30], target[:30])
    assert left.compute() == topk_accuracy(scores[:30], target[:30], 2)
    right.update(scores[30:], target[30:])
    left.merge_state(right)
    assert left.compute() == topk_accuracy(scores, target, 2)
    with pytest.raises(ValueError, match="incoming_state must come from a TopKAccuracy of the same settings"):
        left.merge_state(TopKAccuracy(k=3))


def test_pickle_deepcopy_clone_and_state_dict_keep_the_counts():
    metric = TopKAccuracy(k=2, num_classes=4, average="none")
    metric.persistent(True)
    metric.update(SCORES, TARGET)
    loaded = TopKAccuracy(k=2, num_classes=4, average="none")
    loaded.load_state_dict(metric.state_dict())
    for other in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone(), loaded):
        other.update(SCORES, TARGET)
        assert other.counts.whole.sum() == 6
    assert metric.counts.whole.sum() == 3


@pytest.mark.parametrize("cast", ["half", "bfloat16", "float", "double", "to"])
def test_casting_a_module_does_not_round_its_counts(cast):
    module = torch.nn.Module()
    module.metric = TopKAccuracy(k=1)
    module.metric.update(torch.tensor([[1.0, 0.0]] * 2), torch.tensor([0, 1]), torch.tensor([1000.0, 1.5]))
    module.metric.update(SCORES[:, :2], torch.tensor([0, 1, 0]))
    module.to(torch.bfloat16) if cast == "to" else getattr(module, cast)()
    counts = module.metric.counts
    assert counts.whole.dtype == torch.int64
    assert counts.fractional.dtype == torch.float64
    assert counts.fractional.tolist() == [1000.0, 1.5, 1000.0**2 + 1.5**2]
    module.metric.reset()
    assert module.metric.counts.fractional.dtype == torch.float64


def test_state_moves_to_another_device_and_its_kind_follows_what_the_device_has():
    metric = TopKAccuracy(k=1).to("meta")
    assert metric.counts.whole.device.type == "meta"
    from topk_lightning.metrics._counting import wide_dtype

    assert wide_dtype(torch.device("mps")) == torch.float32
    assert wide_dtype(torch.device("cuda")) == torch.float64


def test_function_compiles_to_one_graph():
    torch._dynamo.reset()
    compiled = torch.compile(lambda s, t: topk_accuracy(s, t, (1, 3)), fullgraph=True, backend="eager")
    scores, target = batch()
    assert torch.equal(compiled(scores, target), topk_accuracy(scores, target, (1, 3)))


def test_metric_counts_inside_a_compiled_step():
    torch._dynamo.reset()
    metric, layer = TopKAccuracy(k=3), torch.nn.Linear(5, 9)

    @torch.compile(backend="eager")
    def step(x, target):
        logits = layer(x)
        metric.update(logits.detach(), target)
        return torch.nn.functional.cross_entropy(logits, target)

    x, target = torch.randn(64, 5), batch()[1]
    step(x, target).backward()
    assert metric.compute() == topk_accuracy(layer(x).detach(), target, 3)


def test_curve_is_the_accuracy_at_each_k():
    scores, target = batch()
    metric = TopKAccuracy(k=3, max_k=9)
    metric.update(scores, target)
    assert torch.equal(metric.curve(), topk_accuracy(scores, target, range(1, 10)))
    assert metric.compute() == metric.curve()[2]
    figure, axes = metric.plot()
    assert axes.lines[0].get_ydata().tolist() == metric.curve().tolist()
    assert axes.get_xlabel() == "k"
    figure.clear()
    for values in (metric.compute(), [metric.compute(), metric.compute()]):
        figure, axes = metric.plot(values)
        assert axes.lines[0].get_ydata()[0] == metric.compute()
        figure.clear()


def wilson_by_hand(hits, rows, z):
    p = hits / rows
    center = (p + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return [center - half, center + half]


def test_confidence_interval_is_wilsons():
    scores, target = batch(rows=200)
    metric = TopKAccuracy(k=3)
    metric.update(scores, target)
    hits = int((target_rank(scores, target) < 3).sum())
    assert metric.confidence_interval().tolist() == pytest.approx(wilson_by_hand(hits, 200, 1.959963985), rel=1e-6)
    assert metric.confidence_interval(0.9).tolist() == pytest.approx(wilson_by_hand(hits, 200, 1.644853627), rel=1e-6)


def test_confidence_interval_of_each_class():
    metric = TopKAccuracy(k=2, num_classes=4, average="none")
    metric.update(SCORES, TARGET)
    interval = metric.confidence_interval()
    assert interval.shape == (4, 2)
    assert interval[0].isnan().all()
    assert interval[1].tolist() == pytest.approx(wilson_by_hand(1, 1, 1.959963985), abs=1e-6)


def test_confidence_interval_counts_effective_rows_for_weights():
    metric = TopKAccuracy(k=1)
    metric.update(torch.eye(2), torch.tensor([0, 0]), torch.tensor([3.0, 1.0]))
    # (3 + 1)² / (3² + 1²) = 1.6 effective rows at accuracy 3/4
    assert metric.confidence_interval().tolist() == pytest.approx(wilson_by_hand(1.2, 1.6, 1.959963985), rel=1e-6)


def test_confidence_interval_covers_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    inside = 0
    for _ in range(300):
        metric = TopKAccuracy(k=1)
        wrong = (torch.rand(50, generator=generator) > 0.8).long()
        metric.update(torch.eye(2)[wrong], torch.zeros(50, dtype=torch.long))
        low, high = metric.confidence_interval(0.9).tolist()
        inside += low <= 0.8 <= high
    assert 0.85 <= inside / 300 <= 0.95


def test_metrics_of_different_k_or_settings_are_never_merged_by_a_collection():
    settings = [
        {"k": 3},
        {"k": 5},
        {"k": 3, "max_k": 5},
        {"k": 3, "ties": "strict"},
        {"k": 3, "ties": "optimistic"},
        {"k": 3, "ignore_index": 0},
        {"k": 3, "num_classes": 6, "average": "macro"},
    ]
    scores, target = batch(rows=100, classes=6, values=3, seed=99)
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        collection = MetricCollection({f"m{i}": TopKAccuracy(**options) for i, options in enumerate(settings)})
        first = torch.randn(2, 6, generator=generator)
        collection.update(first, first.argmax(1) if seed % 2 else torch.randint(6, (2,), generator=generator))
        collection.reset()
        collection.update(scores, target)
        result = collection.compute()
        for i, options in enumerate(settings):
            alone = TopKAccuracy(**options)
            alone.update(scores, target)
            assert result[f"m{i}"] == alone.compute(), (seed, options)


def test_works_beside_other_metrics_in_a_collection_and_in_arithmetic():
    error = 1 - TopKAccuracy(k=1)
    error.update(SCORES, TARGET)
    torch.testing.assert_close(error.compute(), torch.tensor(2 / 3))
    assert isinstance(MetricCollection([TopKAccuracy(k=1), MeanMetric()]), MetricCollection)


def test_a_metric_asked_for_a_reduction_says_why_it_is_no_loss():
    sentence = (
        "loss must be differentiable, got {}, which counts hits: a count does not change with a small step of the "
        "logits, so it has no gradient. Train with torch.nn.CrossEntropyLoss or topk_lightning.SmoothTopKSVMLoss and "
        "keep the metric to measure."
    )
    logits = SCORES.clone().requires_grad_()
    for name, call in {
        "TopKAccuracy": lambda: TopKAccuracy(k=2)(logits, TARGET, reduction="none"),
        "topk_accuracy": lambda: topk_accuracy(logits, TARGET, 2, reduction="none"),
    }.items():
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == sentence.format(name)


@pytest.mark.parametrize("classes", [2, 3, 5, 9])
def test_a_k_that_was_not_given_is_the_smaller_of_5_and_the_classes(classes):
    scores, target = batch(classes=classes)
    metric = TopKAccuracy()
    metric.update(scores, target)
    expected = topk_accuracy(scores, target, min(5, classes))
    assert metric.compute() == topk_accuracy(scores, target) == expected
    soft = torch.rand(64, classes).softmax(1)
    metric = TopKAccuracy()
    metric.update(scores, soft)
    torch.testing.assert_close(metric.compute(), topk_accuracy(scores, soft, min(5, classes)))
    several = TopKAccuracies()
    several.update(scores, target)
    assert several.compute()["top5"] == expected
    assert list(TopKAccuracies(num_classes=3).keys()) == ["top1", "top3"]


VALUE_ERRORS = [
    (
        lambda: TopKAccuracy(k=5)(SCORES, TARGET),
        "k must be at most the number of classes (4), got 5. Use a smaller k.",
    ),
    (lambda: TopKAccuracy(k=0), "k must be at least 1, got 0."),
    (lambda: TopKAccuracy(k=3, max_k=2), "max_k must be at least 3, got 2."),
    (lambda: TopKAccuracy(average="macro"), 'num_classes must be given for average="macro", got None.'),
    (
        lambda: TopKAccuracy(average="mean"),
        "average must be one of 'micro', 'macro', 'weighted', 'none', got 'mean'.",
    ),
    (
        lambda: TopKAccuracy(k=1, num_classes=5, average="none")(SCORES, TARGET),
        "num_classes must be the number of scores a row (4), got 5.",
    ),
    (
        lambda: TopKAccuracy(k=1)(SCORES, torch.tensor([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]])),
        "target must have shape (3,) to match preds of shape (3, 4), got (3, 4). For several right classes a row use "
        "MultilabelTopKAccuracy; for one-hot rows target.argmax(1); for a distribution over classes a float target.",
    ),
    (
        lambda: TopKAccuracy(k=1)(SCORES, torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]])),
        "target must hold a distribution over classes in each row (≥ 0, sum 1) when it is a float tensor of the shape "
        "of the scores, got a row with minimum 0 and sum 2. For several right classes a row use MultilabelTopKAccuracy.",
    ),
    (
        lambda: topk_accuracy(SCORES, TARGET, 1, sample_weight=torch.ones(2)),
        "sample_weight must have shape (3,), one weight a row, got (2,).",
    ),
    (
        lambda: topk_accuracy(SCORES, TARGET, 1, sample_weight=torch.tensor([1.0, -1.0, 1.0])),
        "sample_weight must be finite and at least 0, got -1.0.",
    ),
    (
        lambda: TopKAccuracy(num_classes=9, average="macro").confidence_interval(),
        'average must be "micro" or "none" for a confidence interval, got macro. '
        'Use average="micro", or "none" for one interval a class.',
    ),
    (
        lambda: TopKAccuracy().confidence_interval(95),
        "level must lie between 0 and 1, got 95. Did you mean 0.95?",
    ),
    (
        lambda: TopKAccuracy(2, num_classes=8)(torch.randn(5, 9), torch.full((5,), 8)),
        "num_classes must be the number of scores a row (9), got 8.",
    ),
    (
        lambda: topk_accuracy(SCORES, TARGET.view(3, 1, 1), 1),
        "target must have shape (3,) to match preds of shape (3, 4), got (3, 1, 1).",
    ),
    (
        lambda: topk_accuracy(SCORES, TARGET.view(3, 1), 1),
        "target must have shape (3,) to match preds of shape (3, 4), got (3, 1). Did you mean target.squeeze(1)?",
    ),
    (
        lambda: topk_accuracy(SCORES.unsqueeze(2), TARGET, 1),
        "target must have shape (3, 1) to match preds of shape (3, 4, 1), got (3,). Did you mean preds.squeeze(2)?",
    ),
    (
        lambda: topk_accuracy(torch.zeros(16, 55), torch.zeros(16, 55, 1, dtype=torch.long), 1),
        "target must have shape (16,) to match preds of shape (16, 55), got (16, 55, 1). For several right classes a row "
        "use MultilabelTopKAccuracy and target.squeeze(2).",
    ),
    (lambda: topk_accuracy(SCORES, TARGET, (1, 1)), "k must hold each k once, got (1, 1)."),
]


@pytest.mark.parametrize(("call", "sentence"), VALUE_ERRORS)
def test_wrong_values_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value) == sentence


def test_wrong_types_get_one_sentence():
    with pytest.raises(TypeError) as error:
        TopKAccuracy(k=2.0)
    assert str(error.value) == "k must be an integer, got 2.0 of type float."


@pytest.mark.parametrize("target", [torch.full((4,), 9), torch.zeros(4, dtype=torch.int64, device="meta")])
def test_an_update_that_raises_counts_nothing_but_the_update_as_in_torchmetrics(target):
    class Raises(MeanMetric):
        def update(self):
            raise RuntimeError

    peer, metric = Raises(), TopKAccuracy(1)
    with pytest.raises(RuntimeError):
        peer.update()
    with pytest.raises((ValueError, RuntimeError)):
        metric.update(torch.eye(4), target)
    assert metric.update_count == peer.update_count == 1
    assert not metric.counts.whole.any()


def test_a_value_is_forgotten_at_the_next_update():
    metric = TopKAccuracy(1)
    metric.update(torch.eye(4), torch.arange(4))
    assert metric.compute() == 1
    metric.update(torch.eye(4), (torch.arange(4) + 1) % 4)
    assert metric.compute() == 0.5


def test_a_batch_whose_update_fails_is_not_counted_a_second_time():
    class Failing(TopKAccuracy):
        calls = 0

        def update(self, *arguments):
            self.calls += 1
            super().update(*arguments)
            if self.calls == 1:
                raise RuntimeError("Expected all tensors to be on the same device")

    metric = Failing(k=1)
    with pytest.raises(RuntimeError, match=r"Encountered different devices in metric calculation"):
        metric.update(torch.eye(3), torch.arange(3))
    assert metric.calls == 1
    assert next(iter(metric.metric_state.values())).sum() == 3
