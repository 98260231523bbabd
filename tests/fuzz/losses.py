"""Losses in float32 against their formulas in float64 Python, at any scale."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from hypothesis import given

from tests.losses.all_cases import ALL_CASES

EVERY_CASE = {case.name: case for case in ALL_CASES}


@st.composite
def rows(draw):
    """A loss, logits (N, C) that may tie, labels and a temperature."""
    case = EVERY_CASE[draw(st.sampled_from(sorted(EVERY_CASE)))]
    number, classes = draw(st.integers(1, 3)), draw(st.integers(max(4, case.smallest_number_of_classes), 9))
    if "class_counts" in case.options:
        classes = len(case.options["class_counts"])
    scale = 10.0 ** draw(st.integers(-3, 4))
    values = draw(st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=12))
    picks = draw(st.lists(st.integers(0, len(values) - 1), min_size=number * classes, max_size=number * classes))
    logits = (torch.tensor([values[pick] for pick in picks]) * scale).view(number, classes)
    target = torch.tensor(draw(st.lists(st.integers(0, classes - 1), min_size=number, max_size=number)))
    return case, logits, target, 10.0 ** draw(st.floats(-2, 2))


@given(rows())
def every_loss_is_its_formula_and_every_gradient_is_finite(example):
    case, logits, target, temperature = example
    options = {"temperature": temperature} if "temperature" in case.options else {}
    leaf = logits.clone().requires_grad_()
    found = case.make(reduction="none", **options)(leaf, target)
    expected = case.expected(logits, target, **options)
    scale = 1 + logits.abs().max().item()
    torch.testing.assert_close(found.detach().double(), expected, rtol=3e-5, atol=3e-6 * scale)
    (slope,) = torch.autograd.grad(found.sum(), leaf)
    assert slope.isfinite().all()
