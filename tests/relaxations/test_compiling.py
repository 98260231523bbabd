"""Each relaxation compiled, with the temperature of every step of a curriculum."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from topk_lightning.relaxations import MEMBERSHIPS, neuralsort, soft_topk_mask, softsort

TARGET = torch.tensor([1, 2, 3])
RELAXATIONS = {
    **{
        f"soft top-k mask, {name}": lambda scores, temperature, name=name: soft_topk_mask(
            scores, 3, temperature=temperature, membership=name
        )
        for name in MEMBERSHIPS
    },
    "softsort": lambda scores, temperature: softsort(scores, 3, temperature=temperature).exp(),
    "softsort of a column": lambda scores, temperature: softsort(
        scores, 3, temperature=temperature, column=TARGET
    ).exp(),
    "neuralsort": lambda scores, temperature: neuralsort(scores, 3, temperature=temperature).exp(),
    "neuralsort of a column": lambda scores, temperature: neuralsort(
        scores, 3, temperature=temperature, column=TARGET
    ).exp(),
}


@pytest.mark.parametrize("name", RELAXATIONS)
def test_compiles_whole_and_into_two_graphs_for_all_temperatures(name):
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    relaxation = RELAXATIONS[name]
    compiled = torch.compile(relaxation, fullgraph=True, backend=counter)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 7, generator=generator, requires_grad=True)
    for temperature in (1.0, 0.8, 0.5, 0.3, 2.0):
        found, expected = compiled(scores, temperature), relaxation(scores, temperature)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        seed = torch.randn(found.shape, generator=generator)
        (slope,), (wanted,) = (torch.autograd.grad((y * seed).sum(), scores) for y in (found, expected))
        torch.testing.assert_close(slope, wanted, atol=1e-6, rtol=1e-5)
    assert counter.frame_count <= 2
