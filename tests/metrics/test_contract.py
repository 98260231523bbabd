"""Laws that every metric keeps, whatever it counts."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torchmetrics import MetricCollection

from topk_lightning.metrics import (
    CalibrationError,
    ClassReport,
    MultilabelTopKAccuracy,
    SetCoverage,
    TopKAccuracies,
    TopKAccuracy,
    multilabel_topk_accuracy,
    topk_accuracy,
)

CLASSES = 7
METRICS = {
    "micro": lambda: TopKAccuracy(3),
    "macro": lambda: TopKAccuracy(3, num_classes=CLASSES, average="macro"),
    "several": lambda: TopKAccuracies((1, 3)),
    "several by class": lambda: TopKAccuracies((1, 3), num_classes=CLASSES, average="none"),
    "labels": lambda: MultilabelTopKAccuracy(2, "recall"),
    "calibration": lambda: CalibrationError(5),
    "sets": lambda: SetCoverage(CLASSES),
    "report": lambda: ClassReport(CLASSES, (1, 3)),
}
each_metric = pytest.mark.parametrize("name", METRICS)


def batch(name, rows=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, CLASSES, generator=generator)
    if name == "sets":
        return scores > 0.3, torch.randint(CLASSES, (rows,), generator=generator)
    if name == "labels":
        return scores, (torch.rand(rows, CLASSES, generator=generator) > 0.7).long()
    return scores, torch.randint(CLASSES, (rows,), generator=generator)


def numbers(values):
    """The values as lists, NaN as text, since NaN equals nothing."""
    values = values if isinstance(values, dict) else {"": values}
    return {name: str(value.tolist()) for name, value in values.items()}


def counted(name, *batches):
    metric = METRICS[name]()
    for scores, target in batches:
        metric.update(scores, target)
    return metric


@each_metric
def test_forward_gives_the_batch_and_counts_it(name):
    metric, (first, second) = METRICS[name](), (batch(name), batch(name, seed=1))
    assert numbers(metric(*first)) == numbers(counted(name, first).compute())
    assert numbers(metric(*second)) == numbers(counted(name, second).compute())
    assert numbers(metric.compute()) == numbers(counted(name, first, second).compute())


@each_metric
def test_values_in_a_training_step_carry_no_gradient(name):
    scores, target = batch(name)
    scores = scores.requires_grad_() if scores.is_floating_point() else scores
    values = METRICS[name]()(scores, target)
    for value in values.values() if isinstance(values, dict) else [values]:
        assert not value.requires_grad
        value.numpy()
        copy.deepcopy(value)


@pytest.mark.parametrize("function", [topk_accuracy, multilabel_topk_accuracy])
def test_values_of_functions_carry_no_gradient(function):
    scores, target = batch("labels" if function is multilabel_topk_accuracy else "micro")
    assert not function(scores.requires_grad_(), target, 2).requires_grad


@each_metric
@pytest.mark.parametrize("cast", ["type", "set_dtype", "half", "bfloat16", "to"])
def test_no_cast_changes_the_dtype_of_a_state_or_its_value(name, cast):
    module = nn.Module()
    module.metric = counted(name, batch(name))
    expected = numbers(module.metric.compute())
    before = [state.dtype for state in states(module.metric)]
    if cast == "set_dtype":
        module.metric.set_dtype(torch.half)
    elif cast in ("type", "to"):
        getattr(module, cast)(torch.half)
    else:
        getattr(module, cast)()
    assert [state.dtype for state in states(module.metric)] == before
    reset_computed(module.metric)
    assert numbers(module.metric.compute()) == expected


def states(metric):
    metrics = metric.values(copy_state=False) if isinstance(metric, MetricCollection) else [metric]
    return [state for one in metrics for state in one.metric_state.values()]


def reset_computed(metric):
    for one in metric.values(copy_state=False) if isinstance(metric, MetricCollection) else [metric]:
        one._computed = None


@each_metric
def test_counts_go_on_after_validation_in_inference_mode(name):
    metric, (first, second) = METRICS[name](), (batch(name), batch(name, seed=1))
    with torch.inference_mode():
        metric.update(*first)
        metric.reset()
        metric.update(*first)
    with torch.no_grad():
        metric.update(*second)
    assert numbers(metric.compute()) == numbers(counted(name, first, second).compute())


@each_metric
def test_a_pickle_and_a_copy_count_on_by_themselves(name):
    metric, (first, second) = counted(name, batch(name)), (batch(name), batch(name, seed=1))
    expected = numbers(counted(name, first, second).compute())
    for other in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone()):
        other.update(*second)
        assert numbers(other.compute()) == expected
    assert numbers(metric.compute()) == numbers(counted(name, first).compute())


@each_metric
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript itself, and what torchmetrics says to it
def test_a_module_that_holds_it_can_be_scripted(name):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, CLASSES)
            self.metric = METRICS[name]()

        def forward(self, x):
            return self.layer(x)

    module, x = Module(), torch.randn(4, 3)
    torch.testing.assert_close(torch.jit.script(module)(x), module(x))


@each_metric
def test_a_batch_of_zero_rows_changes_nothing(name):
    scores, target = batch(name)
    metric = counted(name, (scores, target), (scores[:0], target[:0]))
    assert numbers(metric.compute()) == numbers(counted(name, (scores, target)).compute())
