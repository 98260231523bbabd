"""What only top-k cross entropy promises; the laws of all losses stand in test_contract.py."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
import torch.nn.functional as F

from tests import oracles_relaxed as oracles
from topk_lightning.losses import TopKCrossEntropyLoss, topk_cross_entropy_loss
from topk_lightning.relaxations import RELAXATIONS, softsort

INF = math.inf
DISTANCES = ("softsort", "neuralsort")


@pytest.fixture(params=RELAXATIONS)
def relaxation(request):
    return request.param


def randn(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def rows(logits, target, probabilities=(0.0, 1.0), **options):
    return topk_cross_entropy_loss(logits, torch.as_tensor(target), probabilities, reduction="none", **options)


@pytest.mark.parametrize("probabilities", [(1.0,), (0.0, 1.0), (0.5, 0.0, 0.5), (0.2, 0.2, 0.2, 0.2, 0.2)])
@pytest.mark.parametrize("num_candidates", [6, 7, None])
def test_equals_the_papers_formula(relaxation, probabilities, num_candidates):
    logits = randn(1, 8) * 2
    expected = [
        oracles.topk_cross_entropy(
            logits.tolist(),
            y,
            k_probabilities=probabilities,
            temperature=0.6,
            num_candidates=num_candidates,
            relaxation=relaxation,
        )
        for y in range(8)
    ]
    losses = rows(
        logits.expand(8, -1),
        range(8),
        probabilities,
        temperature=0.6,
        num_candidates=num_candidates,
        relaxation=relaxation,
    )
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_k_1_over_all_classes_is_cross_entropy():
    logits, target = randn(2, 6, 30), torch.arange(6)
    torch.testing.assert_close(
        topk_cross_entropy_loss(logits, target, (1.0,), num_candidates=None), F.cross_entropy(logits, target)
    )


def test_k_1_over_candidates_is_cross_entropy_over_them():
    logits, target = randn(3, 1, 9), torch.tensor([4])
    others = logits[0, torch.arange(9) != 4].sort(descending=True).values[:3]
    candidates = torch.cat([logits[:, 4], others]).unsqueeze(0)
    expected = F.cross_entropy(candidates, torch.tensor([0]))
    torch.testing.assert_close(topk_cross_entropy_loss(logits, target, (1.0,), num_candidates=4), expected)


def test_temperature_0_counts_the_k_that_reach_the_target(relaxation):
    # P = (.1, .2, .3, .4): rank 1 is reached by all k, rank 4 by k = 4 only; the softmax stands in for k = 1.
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0, 0.0, -1.0]]).double().expand(4, -1)
    softmax = logits[0].softmax(0)
    losses = rows(logits, range(4), (0.1, 0.2, 0.3, 0.4), temperature=1e-9, relaxation=relaxation)
    reached = [0.2 + 0.3 + 0.4, 0.2 + 0.3 + 0.4, 0.3 + 0.4, 0.4]
    expected = [-math.log(0.1 * softmax[rank].item() + rest) for rank, rest in enumerate(reached)]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


def test_equal_logits_have_the_symmetric_value_wherever_the_target_stands(relaxation):
    losses = rows(torch.zeros(8, 8), range(8), (0.2, 0.3, 0.5), relaxation=relaxation)
    expected = -math.log(0.2 * 1 / 8 + 0.3 * 2 / 8 + 0.5 * 3 / 8)
    torch.testing.assert_close(losses, torch.full((8,), expected))


def test_renaming_the_classes_changes_neither_value_nor_gradient(relaxation):
    # Rounded, so that classes tie: inside the candidates, across their boundary and with the target.
    logits = randn(4, 6, 12).round().requires_grad_()
    order, target = torch.randperm(12, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    renamed = order.argsort()[target]
    loss = rows(logits, target, (0.3, 0.3, 0.4), num_candidates=5, relaxation=relaxation)
    loss.sum().backward()
    gradient, logits.grad = logits.grad, None
    moved = rows(logits[:, order], renamed, (0.3, 0.3, 0.4), num_candidates=5, relaxation=relaxation)
    moved.sum().backward()
    torch.testing.assert_close(moved, loss)
    torch.testing.assert_close(logits.grad, gradient)


def test_a_confident_mistake_keeps_its_gradient():
    # A floor of 1e-7 in the logarithm would have made these gradients 0.
    logits = torch.tensor([[0.0, 40.0, 41.0, 42.0], [0.0, 4000.0, 4001.0, 4002.0]], requires_grad=True)
    loss = rows(logits, [0, 0], temperature=1.0)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([41.0, 4001.0]), rtol=0.05, atol=0)
    torch.testing.assert_close(logits.grad[:, 0], torch.tensor([-1.0, -1.0]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e3])
def test_value_and_gradient_are_finite_at_every_scale(relaxation, scale, temperature):
    logits = (randn(5, 4, 20, dtype=torch.float32) * scale).requires_grad_()
    losses = rows(logits, range(4), (0.2, 0.4, 0.4), temperature=temperature, relaxation=relaxation)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()


def test_a_shift_of_1e4_changes_nothing(relaxation):
    logits = (randn(6, 4, 20, dtype=torch.float32) * 2**8).round() / 2**8
    torch.testing.assert_close(
        rows(logits + 1e4, range(4), relaxation=relaxation), rows(logits, range(4), relaxation=relaxation)
    )


@pytest.mark.parametrize("name", DISTANCES)
def test_the_loss_can_fall_below_0_where_a_column_exceeds_1(name):
    # Three close scores out of four: the middle one stands near ranks 1, 2 and 3 at once.
    logits = torch.tensor([[1.0, 0.0, -1.0, -9.0]])
    middle = rows(logits, [1], (0.0, 0.0, 1.0), temperature=1.0, relaxation=name)
    chance = sum(row[1] for row in oracles.MATRICES[name](logits[0].tolist(), 1.0)[:3])
    assert chance > 1
    torch.testing.assert_close(middle, torch.tensor([-math.log(chance)]))
    assert middle >= -math.log(3)


def test_candidates_beyond_reach_change_nothing():
    logits = randn(8, 3, 40)
    logits[:, 8:] -= 1e4
    few, all_ = (rows(logits, [0, 1, 2], (0.5, 0.5), num_candidates=count) for count in (9, None))
    torch.testing.assert_close(few, all_)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_k_that_reaches_all_unmasked_classes_counts_as_certain(relaxation, number):
    logits = torch.full((1, 8), -INF)
    logits[0, :number] = torch.arange(number).float()
    logits.requires_grad_()
    loss = rows(logits, [0], (0.0, 0.0, 1.0), relaxation=relaxation)
    loss.sum().backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(1, 8))


def test_k_equal_to_c_costs_nothing(relaxation):
    assert torch.equal(rows(torch.randn(2, 3), [0, 1], (0.0, 0.0, 1.0), relaxation=relaxation), torch.zeros(2))


@pytest.mark.parametrize("num_candidates", [4, None])
def test_a_masked_target_costs_infinity_with_the_gradient_of_cross_entropy(relaxation, num_candidates):
    logits = torch.tensor([[1.0, -INF, 2.0, 0.0]], requires_grad=True)
    loss = rows(logits, [1], num_candidates=num_candidates, relaxation=relaxation)
    loss.sum().backward()
    gradient, logits.grad = logits.grad, None
    F.cross_entropy(logits, torch.tensor([1])).backward()
    assert loss.item() == INF
    torch.testing.assert_close(gradient, logits.grad)


def test_nan_logits_show(relaxation):
    assert rows(torch.tensor([[0.0, math.nan, 1.0, 2.0]]), [0], relaxation=relaxation).isnan().all()


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("num_candidates", [16, None])
def test_100000_classes(name, num_candidates):
    logits = randn(9, 2, 100_000, dtype=torch.float32).requires_grad_()
    loss = rows(logits, [0, 99_999], num_candidates=num_candidates, relaxation=name, temperature=0.1)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()


def odd_even_network(scores, k, *, temperature, column):
    """Return an odd-even sorting network, whose rows and columns sum to 1, with each class on its own wire."""
    matrices = [oracles.odd_even_matrix(row, temperature) for row in scores.tolist()]
    chances = [[float(rank[y]) for rank in matrix[:k]] for matrix, y in zip(matrices, column.tolist(), strict=True)]
    return torch.tensor(chances, dtype=torch.float64).log()


def test_a_relaxation_whose_columns_sum_to_1_keeps_the_loss_at_0_or_above():
    logits = randn(7, 20, 6)
    assert (rows(logits, [1] * 20, (0.0, 0.0, 1.0), relaxation=odd_even_network) >= -1e-12).all()


def test_any_function_of_the_same_form_is_a_relaxation():
    loss = pickle.loads(pickle.dumps(TopKCrossEntropyLoss((0.0, 1.0), relaxation=own_relaxation)))
    logits, target = randn(10, 3, 8), torch.tensor([0, 1, 2])
    assert loss(logits, target) == topk_cross_entropy_loss(logits, target, (0.0, 1.0), temperature=1.0)
    assert TopKCrossEntropyLoss().relaxation is softsort


def own_relaxation(scores, k, *, temperature, column=None):
    """Return SoftSort at half the temperature, as a user's function that a yaml file names."""
    return softsort(scores, k, temperature=temperature / 2, column=column)


def test_a_relaxation_of_ones_own_comes_by_its_dotted_path():
    logits, target = randn(10, 3, 8), torch.tensor([0, 1, 2])
    named = TopKCrossEntropyLoss(relaxation=f"{__name__}.own_relaxation", num_candidates=None)
    assert named(logits, target) == TopKCrossEntropyLoss(relaxation=own_relaxation, num_candidates=None)(logits, target)
    assert named(logits, target) == TopKCrossEntropyLoss(temperature=1.0, num_candidates=None)(logits, target)


@pytest.mark.parametrize(
    "path", ["tests.nowhere.softsort", "topk_lightning.relaxations.sinkhorn", "math.pi", "..", ".a"]
)
def test_a_dotted_path_without_a_function_is_refused(path):
    with pytest.raises(ValueError, match=r"^relaxation must be a function or one of softsort, neuralsort, ") as error:
        TopKCrossEntropyLoss(relaxation=path)
    assert str(error.value).endswith(f"neuralsort, got {path!r}.")


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"k_probabilities": 0.5}, TypeError, "k_probabilities must be a sequence of numbers, got 0.5."),
        ({"k_probabilities": (0.5, 0.6)}, ValueError, "k_probabilities must be at least 0 and sum to 1, got (0.5, 0.6)."),
        ({"k_probabilities": (1.5, -0.5)}, ValueError, "k_probabilities must be at least 0 and sum to 1, got (1.5, -0.5)."),
        ({"k_probabilities": ()}, ValueError, "k_probabilities must be at least 0 and sum to 1, got ()."),
        ({"k_probabilities": (0.2,) * 5, "num_candidates": 5}, ValueError, "num_candidates must be more than the number of k_probabilities (5), or None for all classes, got 5."),
        ({"num_candidates": 7.5}, TypeError, "num_candidates must be an integer, got 7.5 of type float."),
        ({"relaxation": "sinkhorn"}, ValueError, "relaxation must be a function or one of softsort, neuralsort, got 'sinkhorn'."),
        ({"relaxation": 3}, TypeError, "relaxation must be a function or the name of one, got 3."),
        ({"temperature": 0}, ValueError, "temperature must be a finite number above 0, got 0."),
    ],
)  # fmt: skip
def test_errors_name_the_argument(options, kind, sentence):
    with pytest.raises(kind) as error:
        TopKCrossEntropyLoss(**options)
    assert str(error.value) == sentence


def test_more_k_than_classes_is_an_error_that_names_both():
    with pytest.raises(ValueError, match="k_probabilities") as error:
        TopKCrossEntropyLoss((0.2,) * 5)(torch.zeros(2, 3), torch.tensor([0, 1]))
    expected = "k_probabilities must hold at most one number a class (3), got 5. Leave out the largest k."
    assert str(error.value) == expected
