"""What makes a compiled loss slower than an eager one, which no compiler mends: seen in the graph, not by a clock."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.fx import GraphModule
from torch.utils._python_dispatch import TorchDispatchMode

from tests.losses.cases import CASES
from topk_lightning.losses import NoisedTopKHingeLoss

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
