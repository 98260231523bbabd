"""Each loss compiled as users compile it, by torch's own compiler with C++ kernels: minutes, so only when asked for.

Run with ``TOPK_COMPILE=1 pytest tests/losses/test_inductor.py``; needs a C++ compiler. The laws of test_contract.py
compile every loss too, without kernels.
"""

from __future__ import annotations

import os

import pytest
import torch

from tests.losses.all_cases import ALL_CASES
from tests.losses.test_contract import make_batch

pytestmark = [
    pytest.mark.skipif("TOPK_COMPILE" not in os.environ, reason="takes minutes: set TOPK_COMPILE=1"),
    pytest.mark.filterwarnings("ignore"),  # of the compiler, about itself
]


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_compiled_kernels_give_the_same_value_and_gradient(case):
    torch._dynamo.reset()
    loss = case.make(40)
    compiled = torch.compile(loss, fullgraph=True)
    logits, target = make_batch(16, 40)
    logits = logits.float().requires_grad_()
    found, expected = compiled(logits, target), loss(logits, target)
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, atol=1e-6, rtol=1e-5)
