"""What makes a compiled loss slower than an eager one, which no compiler mends: seen in the graph, not by a clock."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import GraphModule
from torch.utils._python_dispatch import TorchDispatchMode

from tests.losses.cases import CASES
from tests.losses.cases_relaxed import CASES as RELAXED
from topk_lightning.losses import NoisedTopKHingeLoss, SoftTopKLoss
from topk_lightning.relaxations.rows import kept

C = 40
# Operations that pass over all scores at once and are fused with their neighbours by no compiler.
SEARCHES = ("sort", "argsort", "topk", "kthvalue", "msort", "unique", "cumsum", "logcumsumexp")


class Searches(TorchDispatchMode):
    """Counts searches of rows of all C classes in eager mode."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in SEARCHES and args[0].ndim and args[0].shape[-1] == C:
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    """Counts operations but for views."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def batch():
    logits = torch.randn(16, C, generator=torch.Generator().manual_seed(0))
    return logits.requires_grad_(), torch.arange(16)


def searches_of_the_graph(loss):
    found = Counter()

    def record(graph, inputs):
        for module in graph.modules():  # the two directions of a gradient written by hand are modules of their own
            if isinstance(module, GraphModule):
                for node in module.graph.nodes:
                    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
                    if name in SEARCHES and node.args[0].meta["example_value"].shape[-1] == C:
                        found[name] += 1
        return graph

    torch._dynamo.reset()
    torch.compile(loss, fullgraph=True, backend=record)(*batch())
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_compiled_loss_sorts_no_row_and_searches_rows_no_more_often_than_an_eager_one(case):
    compiled = searches_of_the_graph(case.make(C))
    with Searches() as eager:
        logits, target = batch()
        case.make(C)(logits, target).backward()
    assert not any("sort" in name for name in (*compiled, *eager.found)), (compiled, eager.found)
    assert sum(compiled.values()) <= max(1, sum(eager.found.values())), (compiled, eager.found)


def test_a_compiled_loss_draws_noise_as_an_eager_one_does():
    drawn = []

    def record(graph, inputs):
        drawn.extend(
            node for module in graph.modules() for node in getattr(getattr(module, "graph", None), "nodes", ())
        )
        return graph

    torch._dynamo.reset()
    loss, (logits, target) = NoisedTopKHingeLoss(k=3), batch()
    compiled = torch.compile(loss, fullgraph=True, backend=record)
    values = []
    for each in (loss, compiled):
        torch.manual_seed(0)
        values.append(each(logits, target))
    assert torch.equal(*values)
    # torch's own compiler would make a slow loop of this.
    assert not [node for node in drawn if "randn" in str(node.target)]
    assert len([node for node in drawn if "standard_normal" in str(node.target)]) == 1


def truth_values_kept(loss):
    """Return how many masks of all scores the compiled forward pass hands to the backward pass."""
    kept = []

    def forward(graph, inputs):
        outputs = [node.meta["val"] for node in graph.graph.output_node().args[0] if hasattr(node, "meta")]
        kept.extend(value for value in outputs if value.dtype == torch.bool and value.numel() >= 16 * C)
        return make_boxed_func(graph.forward)

    def backward(graph, inputs):
        return make_boxed_func(graph.forward)

    backend = aot_autograd(fw_compiler=forward, bw_compiler=backward, partition_fn=min_cut_rematerialization_partition)
    torch._dynamo.reset()
    torch.compile(loss, fullgraph=True, backend=backend)(*batch()).backward()
    return len(kept)


# NeuralSort of all classes sorts them, beside which its masks take no time.
KEEPS_NONE = [case for case in (*CASES, *RELAXED) if "neuralsort, None" not in case.name]


@pytest.mark.parametrize("case", KEEPS_NONE, ids=lambda case: case.name)
def test_a_compiled_loss_keeps_no_truth_values_which_a_cpu_stores_one_by_one(case):
    assert truth_values_kept(case.make(C)) == 0


def test_soft_top_k_takes_few_operations_of_which_each_costs_as_much_as_a_pass_over_100_classes():
    logits, target = batch()
    with Operations() as operations:
        SoftTopKLoss(k=5)(logits, target).backward()
    assert operations.count <= 145


def test_constants_are_kept_but_never_those_of_another_mode():
    ones = kept(torch.ones)
    for _ in range(2):
        with FakeTensorMode():
            assert type(ones(3)) is FakeTensor
    assert type(ones(3)) is Tensor
    assert ones(3) is ones(3)
    assert torch.compile(ones, backend="eager", fullgraph=True)(3) is not ones(3)


@pytest.mark.parametrize("case", [*CASES, *RELAXED], ids=lambda case: case.name)
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "distributions"])
def test_nothing_of_a_gradient_is_made_where_none_is_wanted(case, soft):
    loss, (logits, target) = case.make(C), batch()
    if soft:
        target = torch.nn.functional.one_hot(target, C).float()
    loss(logits, target)  # makes the constants
    counts = []
    for scores in (logits.detach(), logits):
        torch.manual_seed(0)
        with torch.no_grad(), Operations() as operations:
            loss(scores, target)
        counts.append(operations.count)
    assert counts[0] == counts[1]
