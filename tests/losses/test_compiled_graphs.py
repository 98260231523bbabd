"""What must not stand in a compiled loss: a compiler cannot mend a sort of all classes."""

from __future__ import annotations

import pytest
import torch
from torch.fx import GraphModule

from tests.losses.cases import CASES

C = 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_compiled_loss_sorts_all_classes(case):
    sizes = []

    def record(graph, inputs):
        for module in graph.modules():  # the two directions of a gradient written by hand are modules of their own
            if isinstance(module, GraphModule):
                sizes.extend(
                    node.args[0].meta["example_value"].shape[-1]
                    for node in module.graph.nodes
                    if node.target in ("sort", "argsort", torch.sort, torch.argsort)
                )
        return graph

    torch._dynamo.reset()
    logits, target = torch.randn(16, C, generator=torch.Generator().manual_seed(0)), torch.arange(16)
    torch.compile(case.make(C), fullgraph=True, backend=record)(logits.requires_grad_(), target)
    assert all(size < C for size in sizes)
