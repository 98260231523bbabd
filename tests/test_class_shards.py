"""Scores whose classes are shared out among processes: ranks exactly, losses and gradients to rounding."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from tests.distributed import run_processes
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss, TruncatedTopKEntropyLoss
from topk_lightning.metrics import TopKAccuracy
from topk_lightning.ranking import TIES, target_rank, topk_indices

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="needs torch.distributed")

INF, NAN = float("inf"), float("nan")
N, D = 12, 6
LOSSES = {
    "temperature": (TemperatureCrossEntropyLoss, {"temperature": 2.0, "scale_loss": "T"}),
    "temperature, sum": (TemperatureCrossEntropyLoss, {"reduction": "sum"}),
    "truncated, k = 1": (TruncatedTopKEntropyLoss, {"k": 1}),
    "truncated, k = 5": (TruncatedTopKEntropyLoss, {"k": 5, "temperature": 0.5}),
    "truncated, weights": (TruncatedTopKEntropyLoss, {"k": 3, "weight": True}),
}


def scores_and_target(num_classes, kind="random"):
    generator = torch.Generator().manual_seed(num_classes)
    scores = 3 * torch.randn(N, num_classes, generator=generator)
    target = torch.randint(num_classes, (N,), generator=generator)
    if kind == "ties":
        scores = scores.round()
    if kind == "not finite":
        scores[0, target[0]], scores[1, (target[1] + 1) % num_classes] = NAN, NAN
        scores[2, target[2]], scores[3, target[3]], scores[4, 0] = INF, -INF, INF
    return scores, target


def sharded(scores):
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    return distribute_tensor(scores, init_device_mesh("cpu", (dist.get_world_size(),)), [Shard(1)])


def made(name, num_classes):
    kind, options = LOSSES[name]
    options = dict(options)
    if options.get("weight"):
        options["weight"] = torch.linspace(0.1, 2, num_classes)
    return kind(**options)


def head_of(num_classes):
    torch.manual_seed(1)
    head, features = torch.nn.Linear(D, num_classes), torch.randn(N, D)
    return head, features.requires_grad_()


def everything(rank, world_size):
    """Return ranks, accuracies, losses and gradients of this process, by name."""
    from torch.distributed.tensor import Shard, init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    found = {}
    for num_classes in (23, 5, 3):
        for kind in ("random", "ties", "not finite"):
            scores, target = scores_and_target(num_classes, kind)
            parts = sharded(scores)
            for k in {1, 2, num_classes}:
                found[f"best {k} {kind} {num_classes}"] = topk_indices(parts, k)
            for ties in TIES:
                found[f"rank {ties} {kind} {num_classes}"] = target_rank(parts, target, ties=ties)
            for ties in (*TIES, "expected"):
                metric = TopKAccuracy(2, ties=ties, sync_on_compute=False)
                metric.update(parts, target)
                found[f"accuracy {ties} {kind} {num_classes}"] = metric.compute()
        scores, target = scores_and_target(num_classes)
        for name in LOSSES:
            if num_classes >= (made(name, num_classes).k or 1 if "truncated" in name else 1):
                found[f"rows {name} {num_classes}"] = rows_of(name, sharded(scores), target, num_classes)
    mesh = init_device_mesh("cpu", (world_size,))
    for name in LOSSES:
        head, features = head_of(23)
        target = scores_and_target(23)[1]
        target[3] = -100
        plan = ColwiseParallel(output_layouts=Shard(-1), use_local_output=False)
        loss = made(name, 23)(parallelize_module(head, mesh, plan)(features), target)
        loss.backward()
        gradients = (features.grad, head.weight.grad.full_tensor(), head.bias.grad.full_tensor())
        found[f"training {name}"] = torch.cat([loss.detach().view(1), *(part.flatten() for part in gradients)])
    with pytest.raises(TypeError, match=r"^logits must be whole for SmoothTopKSVMLoss, got a DTensor\. Temperature"):
        SmoothTopKSVMLoss()(sharded(scores_and_target(23)[0]), target)
    return {name: value.tolist() for name, value in found.items()}


def rows_of(name, scores, target, num_classes):
    loss = made(name, num_classes)
    loss.reduction = "none"
    return loss(scores, target).detach()


def whole():
    """Return the same of one process that has all scores."""
    found = {}
    for num_classes in (23, 5, 3):
        for kind in ("random", "ties", "not finite"):
            scores, target = scores_and_target(num_classes, kind)
            for k in {1, 2, num_classes}:
                found[f"best {k} {kind} {num_classes}"] = topk_indices(scores, k)
            for ties in TIES:
                found[f"rank {ties} {kind} {num_classes}"] = target_rank(scores, target, ties=ties)
            for ties in (*TIES, "expected"):
                metric = TopKAccuracy(2, ties=ties)
                metric.update(scores, target)
                found[f"accuracy {ties} {kind} {num_classes}"] = metric.compute()
        scores, target = scores_and_target(num_classes)
        for name in LOSSES:
            if num_classes >= (made(name, num_classes).k or 1 if "truncated" in name else 1):
                found[f"rows {name} {num_classes}"] = rows_of(name, scores, target, num_classes)
    for name in LOSSES:
        head, features = head_of(23)
        target = scores_and_target(23)[1]
        target[3] = -100
        loss = made(name, 23)(head(features), target)
        loss.backward()
        gradients = (features.grad, head.weight.grad, head.bias.grad)
        found[f"training {name}"] = torch.cat([loss.detach().view(1), *(part.flatten() for part in gradients)])
    return found


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        exactly = (
            {"atol": 0.0, "rtol": 0.0}
            if name.startswith(("rank", "accuracy", "best"))
            else {"atol": 1e-6, "rtol": 1e-5}
        )
        torch.testing.assert_close(torch.tensor(found[name], dtype=value.dtype), value, **exactly, msg=name)


@pytest.mark.parametrize("world_size", [2, 4])
def test_each_process_has_the_values_and_gradients_of_all_scores(world_size):
    expected = whole()
    for found in run_processes(everything, world_size):
        assert_equal(found, expected)


def test_a_group_of_this_process_alone_has_all_classes():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        found = everything(0, 1)
    finally:
        dist.destroy_process_group()
    assert_equal(found, whole())
