"""At equal scores, where sorting and thresholds have kinks, the gradient is that of the formula and pulls a class up."""

from __future__ import annotations

import math

import pytest
import torch

from tests.oracles_relaxed import minus_log, neuralsort_matrix, softsort_matrix
from topk_lightning.relaxations import MEMBERSHIPS, neuralsort, soft_topk_mask, softsort
from topk_lightning.relaxations.ranked import ranked

TEMPERATURE = 0.5
# F′ where F = k/C, for k/C = 1/2 and 1/4.
SLOPES = {
    "logistic": {2: 1 / 2 * 1 / 2, 4: 1 / 4 * 3 / 4},
    "laplace": {2: 1 / 2, 4: 1 / 4},
    "clipped_line": {2: 1, 4: 1},
}


@pytest.mark.parametrize("membership", MEMBERSHIPS)
@pytest.mark.parametrize("share", [2, 4])
def test_the_mask_of_equal_scores_has_the_gradient_of_its_formula(membership, share):
    c = 8
    scores = torch.full((c,), 1.5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: soft_topk_mask(x, c // share, temperature=TEMPERATURE, membership=membership), scores
    )
    expected = SLOPES[membership][share] / TEMPERATURE * (torch.eye(c, dtype=torch.float64) - 1 / c)
    torch.testing.assert_close(jacobian, expected)


@pytest.mark.parametrize("membership", MEMBERSHIPS)
def test_classes_that_tie_across_the_boundary_share_the_gradient_of_the_mask(membership):
    scores = torch.tensor([2.0, 1.0, 1.0, 0.9], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: soft_topk_mask(x, 2, temperature=TEMPERATURE, membership=membership), scores
    )
    assert (jacobian.diagonal()[1:3] > 0.1).all()
    torch.testing.assert_close(jacobian[1, 1], jacobian[2, 2])
    torch.testing.assert_close(jacobian.sum(1), torch.zeros(4, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("relaxation", [softsort, neuralsort])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_chance_of_a_tied_class_to_be_among_k_rises_with_its_score(relaxation, dtype, k):
    equal = torch.zeros(6, 6, dtype=dtype, requires_grad=True)
    column = torch.arange(6)
    (slope,) = torch.autograd.grad(relaxation(equal, k, column=column).exp().sum(), equal)
    # Row r of SoftSort: a class just behind its ties has chance p = 1/6, which rises with p (1 − p).
    wanted = 5 / 36 * k if relaxation is softsort else slope.diagonal().abs().clamp(min=0.1)[0].item()
    torch.testing.assert_close(slope.diagonal().double(), torch.full((6,), wanted, dtype=torch.float64))
    torch.testing.assert_close(slope.sum(1), torch.zeros(6, dtype=dtype), atol=1e-6, rtol=0)


@pytest.mark.parametrize("relaxation", [softsort, neuralsort])
def test_a_tie_across_the_boundary_pulls_both_classes_up_at_any_scale(relaxation):
    for scale in (1e-6, 1.0, 1e6):
        scores = scale * torch.tensor([[3.0, 2.0, 2.0, 1.0]], dtype=torch.float64).repeat(2, 1)
        scores.requires_grad_()
        chance = relaxation(scores, 2, temperature=scale, column=torch.tensor([1, 2])).exp().sum()
        (slope,) = torch.autograd.grad(chance, scores)
        assert (slope[[0, 1], [1, 2]] * scale > 0.01).all()


@pytest.mark.parametrize(("relaxation", "matrix"), [(softsort, softsort_matrix), (neuralsort, neuralsort_matrix)])
@pytest.mark.parametrize("k", range(1, 6))
def test_the_chance_of_a_tied_class_is_its_formula_where_scores_are_large_against_the_temperature(
    relaxation, matrix, k
):
    below = 1000 - 2**-14  # the float32 below 1000, 6 thousandths of the temperature away
    scores = [[1000.0] * 5, [1000.0, 1000, below, 1000, 0], [below, 1000, below, below, 1001]]
    for row in scores:
        logs = torch.tensor([[-minus_log(p) for p in line] for line in matrix(row, 0.01)[:k]], dtype=torch.float64)
        found = relaxation(torch.tensor([row] * 5), k, temperature=0.01, column=torch.arange(5))
        torch.testing.assert_close(found, logs.T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("scores", "slope", "expected"),
    [
        ([math.nan, 3.0, 3.0, 1.0, 0.0, 3.0], 1.0, [0, 1 / 3, 1 / 3, 0, 0, 1 / 3]),
        ([3.0, 2.0, 2.0, 0.0], math.inf, [0, math.inf, math.inf, 0]),
        ([1.0, torch.finfo(torch.float32).min, torch.finfo(torch.float32).min, -math.inf], 1.0, [0, 0.5, 0.5, 0]),
    ],
    ids=["a NaN ties with nothing", "an overflow stays with the tied", "the lowest number is no mask"],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_only_what_ties_shares_the_slope_of_a_tie(scores, slope, expected, compiled):
    rows = torch.tensor([scores], requires_grad=True)

    def second(rows):
        return ranked(rows, 2)[:, 1]

    torch._dynamo.reset()
    (torch.compile(second, backend="aot_eager") if compiled else second)(rows).backward(
        torch.tensor([slope], dtype=torch.float64)
    )
    torch.testing.assert_close(rows.grad, torch.tensor([expected]))
