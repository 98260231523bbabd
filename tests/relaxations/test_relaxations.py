"""Soft top-k masks and soft permutations against bisection, loops over matrices and hard sorting."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from tests import oracles_relaxed as oracles
from topk_lightning.relaxations import (
    MEMBERSHIPS,
    RELAXATIONS,
    clipped_line,
    laplace,
    logistic,
    neuralsort,
    soft_threshold,
    soft_topk_mask,
    softsort,
)
from topk_lightning.relaxations.rows import largest

INF = float("inf")
DISTANCES = ("softsort", "neuralsort")


@pytest.fixture(params=MEMBERSHIPS)
def curve(request):
    return request.param


@pytest.fixture(params=RELAXATIONS)
def relaxation(request):
    return request.param


def scores_of(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


# Soft top-k masks


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize(("num_classes", "k"), [(2, 1), (7, 1), (7, 3), (7, 6), (40, 20)])
def test_mask_equals_bisection_at_every_scale(curve, num_classes, k, scale):
    scores = scores_of(num_classes, num_classes) * scale
    temperature = scale / 10
    expected = oracles.soft_topk_shares(scores.tolist(), k, temperature, curve)
    mask = soft_topk_mask(scores, k, temperature=temperature, membership=curve)
    torch.testing.assert_close(mask, doubles([float(share) for share in expected]), rtol=1e-13, atol=1e-15)
    # Small shares too are right to the last digits, not only to the last place of 1.
    loss = -oracles.mpmath.log(min(expected)) if min(expected) > 0 else None
    if loss is not None and curve != "clipped_line":
        assert mask.min().log().neg().item() == pytest.approx(float(loss), rel=1e-12)


@pytest.mark.parametrize("temperature", [1e-3, 1e-1, 10.0, 1e3])
def test_mask_sums_to_k_at_every_temperature(curve, temperature):
    for dtype, places in ((torch.float32, 5), (torch.float64, 12)):
        mask = soft_topk_mask(scores_of(1, 8, 1000, dtype=dtype), 5, temperature=temperature, membership=curve)
        assert mask.dtype == dtype
        torch.testing.assert_close(mask.sum(1), torch.full((8,), 5.0, dtype=dtype), rtol=0, atol=10.0**-places)


def test_mask_goes_to_the_hard_top_k_as_temperature_goes_to_0(curve):
    scores = scores_of(2, 4, 9)
    hard = torch.zeros_like(scores).scatter(1, scores.topk(4, 1).indices, 1.0)
    torch.testing.assert_close(soft_topk_mask(scores, 4, temperature=1e-6, membership=curve), hard)


def test_mask_goes_to_k_of_c_as_temperature_grows(curve):
    mask = soft_topk_mask(scores_of(2, 4, 9), 4, temperature=1e9, membership=curve)
    torch.testing.assert_close(mask, torch.full((4, 9), 4 / 9, dtype=torch.float64))


def test_equal_scores_share_the_places_equally(curve):
    torch.testing.assert_close(soft_topk_mask(torch.zeros(5), 2, membership=curve), torch.full((5,), 2 / 5))


def test_two_equal_scores_at_the_boundary_share_the_last_place(curve):
    mask = soft_topk_mask(torch.tensor([9.0, 5.0, 5.0, 0.0]), 2, temperature=1e-3, membership=curve)
    torch.testing.assert_close(mask, torch.tensor([1.0, 1 / 2, 1 / 2, 0.0]))


def test_mask_does_not_move_with_a_constant_added_to_all_scores(curve):
    # Multiples of 2^-8 survive the shift without rounding, so nothing may change.
    scores = (scores_of(3, 6, 20, dtype=torch.float32) * 2**8).round() / 2**8
    mask = soft_topk_mask(scores, 3, membership=curve)
    assert torch.equal(soft_topk_mask(scores + 1e4, 3, membership=curve), mask)


def test_masked_classes_get_nothing_and_the_others_what_they_get_alone(curve):
    scores = scores_of(4, 3, 6)
    masked = torch.cat([scores, torch.full((3, 2), -INF)], 1)
    mask = soft_topk_mask(masked, 2, membership=curve)
    torch.testing.assert_close(mask[:, :6], soft_topk_mask(scores, 2, membership=curve))
    assert torch.equal(mask[:, 6:], torch.zeros(3, 2).double())


@pytest.mark.parametrize("k", [2, 3, 4])
def test_at_most_k_unmasked_classes_are_all_in(curve, k):
    scores = doubles([[1.0, -INF, 2.0, -INF], [-INF] * 4]).requires_grad_()
    mask = soft_topk_mask(scores, k, membership=curve)
    assert torch.equal(mask, doubles([[1.0, 0.0, 1.0, 0.0], [0.0] * 4]))
    mask.sum().backward()
    assert torch.equal(scores.grad, torch.zeros(2, 4).double())


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_mask_has_the_gradient_of_the_exact_solution(curve, k, temperature):
    # Close enough that every row has a class on the slope of the clipped line, and none within 0.008 of its kinks.
    scores = (scores_of(8, 4, 6) / 10).requires_grad_()
    assert gradcheck(lambda s: soft_topk_mask(s, k, temperature=temperature, membership=curve), (scores,))


def test_threshold_gradient_survives_where_every_slope_underflows():
    # Scores 400 temperatures from the threshold: F′ is 0 in float32, its shares 1/2 and 1/2 are not.
    scores = torch.tensor([[400.0, -400.0, -900.0]], requires_grad=True)
    soft_threshold(scores, 1, 1.0, logistic)[1].sum().backward()
    torch.testing.assert_close(scores.grad, torch.tensor([[1 / 2, 1 / 2, 0.0]]))


def test_mask_of_any_shape_and_of_no_rows(curve):
    scores = scores_of(6, 2, 3, 7)
    mask = soft_topk_mask(scores, 2, membership=curve)
    torch.testing.assert_close(mask[1, 2], soft_topk_mask(scores[1, 2], 2, membership=curve))
    assert soft_topk_mask(torch.zeros(0, 7), 2, membership=curve).shape == (0, 7)


def test_mask_of_100000_classes_needs_no_square(curve):
    scores = scores_of(7, 2, 100_000, dtype=torch.float32).requires_grad_()
    mask = soft_topk_mask(scores, 5, temperature=0.1, membership=curve)
    torch.testing.assert_close(mask.sum(1), torch.full((2,), 5.0), rtol=1e-5, atol=0)
    mask.square().sum().backward()
    assert scores.grad.isfinite().all()


def test_half_precision_is_computed_in_float32(curve):
    scores = scores_of(8, 3, 50).half()
    mask = soft_topk_mask(scores, 5, membership=curve)
    assert mask.dtype == torch.float32
    assert torch.equal(mask, soft_topk_mask(scores.float(), 5, membership=curve))


def test_memberships_pickle_and_copy_as_themselves():
    for curve in (logistic, laplace, clipped_line):
        assert pickle.loads(pickle.dumps(curve)) is curve
        assert copy.deepcopy(curve) is curve


def test_logistic_masks_of_very_many_places_converge():
    # The start may be off by log(k + 1): halving steps come before Newton's.
    scores = torch.cat([torch.zeros(1, 1), torch.full((1, 4999), -30.0), torch.full((1, 45_000), -31.0)], 1).double()
    torch.testing.assert_close(soft_topk_mask(scores, 5000).sum(), doubles(5000.0))


# Soft permutations


@pytest.mark.parametrize("num_classes", [1, 2, 4, 8])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 30.0])
def test_rows_equal_the_papers_formulas(relaxation, num_classes, temperature):
    scores = scores_of(num_classes, num_classes)
    expected = doubles(oracles.MATRICES[relaxation](scores.tolist(), temperature))
    rows = RELAXATIONS[relaxation](scores, num_classes, temperature=temperature).exp()
    torch.testing.assert_close(rows, expected, rtol=1e-12, atol=1e-15)


def test_fewer_rows_are_the_first_rows(relaxation):
    scores = scores_of(9, 3, 8)
    rows = RELAXATIONS[relaxation](scores, 8, temperature=0.5)
    torch.testing.assert_close(RELAXATIONS[relaxation](scores, 3, temperature=0.5), rows[:, :3])


def test_rows_sum_to_1(relaxation):
    rows = RELAXATIONS[relaxation](scores_of(10, 5, 6), 6, temperature=0.7).exp()
    torch.testing.assert_close(rows.sum(-1), torch.ones(5, 6).double())


def test_rows_go_to_the_sorting_permutation_as_temperature_goes_to_0(relaxation):
    scores = scores_of(11, 6)
    rows = RELAXATIONS[relaxation](scores, 6, temperature=1e-8).exp()
    torch.testing.assert_close(rows, doubles(oracles.sorting_permutation(scores.tolist())), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
def test_a_column_is_the_column_of_the_rows(name):
    scores, column = scores_of(12, 4, 7), torch.tensor([0, 3, 6, 2])
    rows = RELAXATIONS[name](scores, 5, temperature=0.5)
    expected = rows.gather(2, column.view(4, 1, 1).expand(4, 5, 1)).squeeze(2)
    torch.testing.assert_close(RELAXATIONS[name](scores, 5, temperature=0.5, column=column), expected)


def test_a_column_does_not_depend_on_the_position_of_a_class(relaxation):
    scores, order = scores_of(13, 1, 7), torch.randperm(7, generator=torch.Generator().manual_seed(0))
    column = RELAXATIONS[relaxation](scores, 4, temperature=0.5, column=order[:1])
    moved = RELAXATIONS[relaxation](scores[:, order], 4, temperature=0.5, column=torch.tensor([0]))
    torch.testing.assert_close(moved, column)


def test_equal_scores_give_each_class_the_same_chance_at_every_rank(relaxation):
    column = torch.tensor([0, 3, 7])
    rows = RELAXATIONS[relaxation](torch.zeros(3, 8), 5, column=column)
    torch.testing.assert_close(rows.exp(), torch.full((3, 5), 1 / 8, dtype=torch.float64))


@pytest.mark.parametrize("name", DISTANCES)
def test_tied_classes_get_the_same_gradient_wherever_they_stand(name):
    # Three classes tie across the boundary of the top 2, two within it.
    scores = doubles([[1.0, 3.0, 1.0, 0.0, 1.0], [2.0, 0.0, 2.0, 1.0, -1.0]]).requires_grad_()
    weights = doubles([1.0, 5.0])
    (RELAXATIONS[name](scores, 2, column=torch.tensor([3, 3])).exp() * weights).sum().backward()
    first, second = scores.grad
    torch.testing.assert_close(first[[0, 2]], first[[4, 4]])
    torch.testing.assert_close(second[0], second[2])
    assert first[0] != 0
    assert second[0] != 0


def test_columns_of_softsort_and_neuralsort_can_exceed_1():
    # The middle one of three close scores stands near every rank.
    for rows in (softsort(torch.tensor([1.0, 0.0, -1.0]), 3), neuralsort(torch.tensor([1.0, 0.0, -1.0]), 3)):
        assert rows.exp().sum(0)[1] > 1.05


def test_masked_classes_have_no_rank(relaxation):
    scores = doubles([[0.5, -INF, 1.5, -INF]]).requires_grad_()
    rows = RELAXATIONS[relaxation](scores, 3).exp()
    assert torch.equal(rows[..., [1, 3]], torch.zeros(1, 3, 2).double())
    torch.testing.assert_close(rows.sum(-1), doubles([[1.0, 1.0, 0.0]]))
    rows[..., :2, 0].sum().backward()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("name", DISTANCES)
def test_masked_classes_change_nothing_for_the_others(name):
    scores = scores_of(14, 2, 5)
    masked = torch.cat([torch.full((2, 1), -INF), scores], 1)
    torch.testing.assert_close(RELAXATIONS[name](masked, 4)[..., 1:], RELAXATIONS[name](scores, 4))


@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_rows_and_columns_pass_gradcheck(relaxation, temperature):
    function = RELAXATIONS[relaxation]
    scores = scores_of(15, 2, 4).requires_grad_()
    assert gradcheck(lambda s: function(s, 3, temperature=temperature), (scores,), fast_mode=True)
    column = torch.tensor([3, 0])
    assert gradcheck(lambda s: function(s, 3, temperature=temperature, column=column), (scores,), fast_mode=True)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_log_rows_are_finite_at_every_scale(relaxation, scale):
    scores = (scores_of(16, 4, 6, dtype=torch.float32) * scale).requires_grad_()
    rows = RELAXATIONS[relaxation](scores, 3)
    assert rows.isfinite().all()
    rows.sum().backward()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("name", DISTANCES)
def test_a_column_of_100000_classes_needs_no_square(name):
    scores = scores_of(17, 2, 100_000, dtype=torch.float32).requires_grad_()
    RELAXATIONS[name](scores, 5, column=torch.tensor([0, 99_999])).sum().backward()
    assert scores.grad.isfinite().all()


# The search for the largest


@pytest.mark.parametrize("count", [1, 6, 13])
@pytest.mark.parametrize("c", [20, 300, 1000, 6007])
def test_the_search_in_groups_finds_what_a_sort_finds(c, count):
    scores = torch.randint(0, 40, (9, c), generator=torch.Generator().manual_seed(c)).float()
    values, places = largest(scores, count)
    assert torch.equal(values, scores.sort(1, descending=True).values[:, :count])
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row.tolist())) == count for row in places)


# Errors


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: soft_topk_mask([1.0], 1), TypeError, "scores must be a torch.Tensor, got list. Convert it with torch.as_tensor."),
        (lambda: softsort(torch.zeros(3).int(), 1), TypeError, "scores must be of a float dtype, got torch.int32. Did you mean scores.float()?"),
        (lambda: soft_topk_mask(torch.tensor(1.0), 1), ValueError, "scores must have shape (…, C), got ()."),
        (lambda: soft_topk_mask(torch.zeros(3), 4), ValueError, "k must be at most the number of classes (3), got 4. Use a smaller k."),
        (lambda: softsort(torch.zeros(3), 1, temperature=0.0), ValueError, "temperature must be a finite number above 0, got 0.0."),
        (lambda: soft_topk_mask(torch.zeros(3), 1, membership="cauchy"), ValueError, "membership must be one of logistic, laplace, clipped_line, got 'cauchy'."),
        (lambda: softsort(torch.zeros(2, 3), 1, column=[0, 1]), TypeError, "column must be a torch.Tensor or None, got list."),
        (lambda: softsort(torch.zeros(2, 3), 1, column=torch.zeros(2)), TypeError, "column must be of an integer dtype, got torch.float32."),
        (lambda: neuralsort(torch.zeros(2, 3), 1, column=torch.tensor(0)), ValueError, "column must have shape (2,) to match scores of shape (2, 3), got ()."),
    ],
)  # fmt: skip
def test_errors_name_the_argument(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
