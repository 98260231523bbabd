"""One list of named laws, run over every loss.

A law holds for all of them unless a record in `cases.py` or a file `cases_*.py` says that its formula lacks it.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from packaging.version import Version
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import gradcheck, gradgradcheck

from tests.losses.all_cases import ALL_CASES
from tests.losses.cases import LossCase
from topk_lightning.losses import CalibratedTopKHingeLoss, NoisedTopKHingeLoss, SmoothTopKSVMLoss

C = 7
INF = math.inf


@pytest.fixture(params=ALL_CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> LossCase:
    return request.param


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Six rows of seven classes in float64, at a common scale of logits."""
    return make_batch(6, C)


def make_batch(n: int, c: int, seed: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, c, dtype=torch.float64, generator=generator)
    return logits, torch.randint(c, (n,), generator=generator)


def rows(case: LossCase, logits: Tensor, target: Tensor, **changes: object) -> Tensor:
    num_classes = logits.shape[1] if logits.ndim == 2 else C
    return case.make(num_classes, reduction="none", **changes)(logits, target)


def gradient(case: LossCase, logits: Tensor, target: Tensor, **changes: object) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(rows(case, leaf, target, **changes).sum(), leaf)
    return found


def assert_matches_oracle(case: LossCase, logits: Tensor, target: Tensor, **changes: object) -> None:
    found = rows(case, logits, target, **changes)
    torch.testing.assert_close(found, case.expected(logits, target, **changes), atol=case.atol, rtol=10 * case.atol)
    assert gradient(case, logits, target, **changes).isfinite().all()


# --- the mathematics ---


def test_equals_the_oracle(case, batch):
    assert_matches_oracle(case, *batch)


def test_gradient_is_the_derivative(case, batch):
    logits, target = batch
    assert gradcheck(lambda x: rows(case, x, target), logits.requires_grad_())


def test_second_derivative_is_right_or_refused(case, batch):
    logits, target = batch
    if "second derivative" not in case.lacks:
        assert gradgradcheck(lambda x: rows(case, x, target), logits.requires_grad_())
        return
    value = rows(case, logits.requires_grad_(), target).sum()
    with pytest.raises(RuntimeError, match=r"^The gradient of this loss cannot be differentiated again: "):
        torch.autograd.grad(value, logits, create_graph=True)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_is_exact_at_every_scale(case, batch, scale):
    logits, target = batch
    assert_matches_oracle(case, logits * scale, target)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 1.0, 1e2, 1e3])
def test_is_exact_at_every_temperature(case, batch, temperature):
    if "temperature" not in case.options:
        pytest.skip("has no temperature")
    assert_matches_oracle(case, *batch, temperature=temperature)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_float32_is_float64_to_a_few_roundings(case, scale):
    # Every second target leads by far, so that losses of all sizes occur.
    logits, target = make_batch(6, 20)
    logits[::2].scatter_add_(1, target[::2].unsqueeze(1), torch.full((3, 1), 9.0, dtype=torch.float64))
    single = (scale * logits).float()
    for temperature in (1e-3, 1.0, 1e3) if "temperature" in case.options else (None,):
        options = {"temperature": temperature} if temperature else {}
        found, expected = (rows(case, x, target, **options).double() for x in (single, single.double()))
        # A loss of 1e-24 is exp of a rounded −55.
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-18)
        found, expected = (gradient(case, x, target, **options).double() for x in (single, single.double()))
        largest = expected.abs().amax(1, keepdim=True)
        assert ((found - expected).abs() <= 1e-6 * largest + 1e-18).all()


def test_tends_to_the_hard_loss_as_the_temperature_falls(case, batch):
    if case.hard is None:
        pytest.skip("has no hard limit")
    for temperature in (1e-2, 1e-4, 1e-6):
        found = rows(case, *batch, temperature=temperature)
        hard = torch.tensor(
            [case.hard(s, y, **case.options) for s, y in zip(batch[0].tolist(), batch[1].tolist(), strict=True)],
            dtype=torch.float64,
        )
        torch.testing.assert_close(found, hard, atol=temperature * C, rtol=0)


def test_adding_a_constant_to_all_logits_changes_nothing(case, batch):
    logits, target = batch
    torch.testing.assert_close(rows(case, logits + 100.0, target), rows(case, logits, target), atol=1e-11, rtol=1e-11)
    # float32 at 1e4 rounds the logits, not the loss: exact in what the rounded logits say.
    rounded = (logits + 1e4).float()
    torch.testing.assert_close(
        rows(case, rounded, target).double(), case.expected(rounded, target), atol=1e-5, rtol=1e-5
    )


def test_renaming_the_classes_renames_the_gradient(case, batch):
    if "permutation" in case.lacks:
        pytest.skip("depends on the position of a class")
    logits, target = batch
    order = torch.tensor([3, 5, 0, 6, 1, 4, 2])
    renamed = (order == target.unsqueeze(1)).nonzero()[:, 1]
    torch.testing.assert_close(rows(case, logits[:, order], renamed), rows(case, logits, target))
    torch.testing.assert_close(gradient(case, logits[:, order], renamed), gradient(case, logits, target)[:, order])


def test_a_row_does_not_depend_on_its_batch(case, batch):
    logits, target = batch
    for i in range(6):
        torch.testing.assert_close(rows(case, logits[i : i + 1], target[i : i + 1])[0], rows(case, logits, target)[i])


def test_all_equal_logits(case):
    assert_matches_oracle(case, torch.full((C, C), 0.3, dtype=torch.float64), torch.arange(C))


def test_two_equal_logits_at_the_boundary_of_the_top_k(case):
    scores = torch.tensor([[5.0, 4.0, 2.0, 2.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
    for y in range(C):
        assert_matches_oracle(case, scores, torch.tensor([y]))


def pull(case: LossCase, logits: Tensor, target: Tensor, **changes: object) -> Tensor:
    """How strongly each row pulls its target up."""
    return -gradient(case, logits, target, **changes).gather(1, target.unsqueeze(1)).squeeze(1)


def changed_k(case: LossCase, k: int) -> dict[str, object]:
    if "k_probabilities" in case.options:
        return {"k_probabilities": (0.0,) * (k - 1) + (1.0,), "num_candidates": None}
    return {"k": k} if "k" in case.options else {}


@pytest.mark.parametrize("c", [2, 3, 4, 6, 10])
def test_equal_logits_pull_every_target_up_at_every_k_below_c(case, c):
    scores, target = torch.zeros(c, c), torch.arange(c)
    for k in range(1, c):
        assert (pull(case, scores, target, **changed_k(case, k)) > 0.01).all(), k


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_tie_across_the_boundary_pulls_both_targets_up(case, k):
    scores = torch.tensor([5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0])
    scores[k] = scores[k - 1]
    assert (pull(case, scores.repeat(2, 1), torch.tensor([k - 1, k]), **changed_k(case, k)) > 1e-5).all()


@pytest.mark.parametrize("c", [2, 3, 4, 5, 6, 7])
def test_by_default_k_is_the_largest_of_1_3_5_below_c_and_the_target_is_pulled(case, c):
    names = [name for name in ("k", "k_probabilities") if name in case.options]
    k = {2: 1, 3: 1, 4: 3, 5: 3, 6: 5, 7: 5}[c]
    case = dataclasses.replace(case, options=case.options | dict.fromkeys({"num_candidates"} & case.options.keys()))
    logits, target = make_batch(5, c)
    for name in names:
        expected = k if name == "k" else (1 / k,) * k
        assert torch.equal(rows(case, logits, target, **{name: None}), rows(case, logits, target, **{name: expected}))
    assert (pull(case, torch.zeros(c, c), torch.arange(c), **dict.fromkeys(names)) > 0.01).all()


def test_default_options_pull_targets_like_cross_entropy_at_equal_logits(case):
    # The published form of the SVM takes means of k logits; top-k cross entropy is −log of a chance.
    weaker = {"published": 0.2, "sm": 0.5, "smce": 0.56}
    options = {name: case.options[name] for name in ("units", "membership", "top1_mode") if name in case.options}
    if case.options.get("relaxation") == "neuralsort":
        pytest.skip("its exponents grow with the number of candidates")
    if "class_counts" in case.options:
        options["class_counts"] = [1] * 100
    own = case.module(**options, reduction="sum")
    logits = torch.zeros(100, 100, requires_grad=True)
    (slope,) = torch.autograd.grad(own(logits, torch.arange(100)), logits)
    found = [weaker[value] for value in map(str, options.values()) if value in weaker]
    strength = found[0] if found else 1.0
    assert 0.9 * strength <= -slope.diagonal().mean() <= 1.01 * strength


@pytest.mark.parametrize("k", [1, 2, C - 1, C])
def test_is_exact_at_every_k(case, batch, k):
    if "k" not in case.options:
        pytest.skip("has no k")
    assert_matches_oracle(case, *batch, k=k)
    if k == C and "zero at k=C" not in case.lacks:
        assert torch.equal(rows(case, *batch, k=k), torch.zeros(6, dtype=torch.float64))
        assert torch.equal(gradient(case, *batch, k=k), torch.zeros(6, C, dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 2])
def test_two_classes(case, k):
    changes = {"k": k} if "k" in case.options else {}
    if case.smallest_number_of_classes > 2:
        pytest.skip("needs more classes")
    assert_matches_oracle(case, *make_batch(5, 2), **changes)


def test_a_hundred_thousand_classes(case):
    logits, target = make_batch(2, 100_000 if case.options.get("num_candidates", 1) else 200)
    found = rows(case, logits.float(), target)
    torch.testing.assert_close(found.double(), rows(case, logits.float().double(), target), atol=1e-4, rtol=2e-6)
    assert gradient(case, logits.float(), target).isfinite().all()


def test_is_at_least_zero(case):
    if "at least 0" in case.lacks:
        pytest.skip("can be negative")
    assert (rows(case, *make_batch(200, C)) >= 0).all()


# --- masked and broken rows ---


def test_a_masked_class_is_absent(case, batch):
    logits, target = batch[0][:, :6], batch[1] % 6
    masked = torch.cat([logits, torch.full((6, 1), -INF, dtype=torch.float64)], 1)
    torch.testing.assert_close(rows(case, masked, target), rows(case, logits, target), atol=1e-12, rtol=1e-12)
    expected = torch.cat([gradient(case, logits, target), torch.zeros(6, 1, dtype=torch.float64)], 1)
    torch.testing.assert_close(gradient(case, masked, target), expected, atol=1e-12, rtol=1e-12)


def test_a_masked_target_costs_infinity_with_a_finite_gradient(case, batch):
    logits = batch[0].clone()
    target = torch.arange(6)
    logits[target, target] = -INF
    assert torch.equal(rows(case, logits, target), torch.full((6,), INF, dtype=torch.float64))
    found = gradient(case, logits, target)
    assert found.isfinite().all()
    assert (found[target, target] < 0).all()


def test_fewer_than_k_unmasked_competitors_cost_nothing(case):
    if "zero at k=C" in case.lacks or "k" not in case.options:
        pytest.skip("has no such k")
    logits = torch.tensor([[-5.0, 3.0, *[-INF] * 5]])
    for y in (0, 1, 6):  # even a masked target is in the top 3 of two others
        found = rows(case, logits, torch.tensor([y]), k=3)
        assert found.item() == 0
        assert not found.signbit()
        assert torch.equal(gradient(case, logits, torch.tensor([y]), k=3), torch.zeros(1, C))


def test_a_row_that_is_all_masked_costs_nothing(case):
    if "k" not in case.options and "k_probabilities" not in case.options:
        pytest.skip("has no k")
    logits, target = torch.full((1, C), -INF), torch.tensor([2])
    assert rows(case, logits, target).item() == 0
    assert torch.equal(gradient(case, logits, target), torch.zeros(1, C))


def test_a_broken_row_shows_and_breaks_no_other(case, batch):
    logits, target = batch[0].clone(), batch[1]
    clean = rows(case, logits, target)
    for column in range(C):
        broken = logits.clone()
        broken[2, column] = math.nan
        found = rows(case, broken, target)
        assert found[2].isnan()
        assert torch.equal(found[[0, 1, 3, 4, 5]], clean[[0, 1, 3, 4, 5]])


# --- the drop-in: dtypes, shapes, targets, weights, reductions ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_and_returned_in_float32(case, batch, dtype):
    logits, target = batch[0].to(dtype), batch[1]
    found = rows(case, logits, target)
    assert torch.equal(found, rows(case, logits.float(), target))
    assert found.dtype == torch.float32
    assert torch.equal(gradient(case, logits, target), gradient(case, logits.float(), target).to(dtype))


def test_autocast_changes_nothing(case, batch):
    logits, target = batch[0].float().requires_grad_(), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = rows(case, logits, target)
    assert torch.equal(found, rows(case, logits, target))
    assert torch.equal(torch.autograd.grad(found.sum(), logits)[0], gradient(case, logits.detach(), target))


def test_reductions(case, batch):
    each = rows(case, *batch)
    torch.testing.assert_close(case.make(reduction="sum")(*batch), each.sum())
    torch.testing.assert_close(case.make(reduction="mean")(*batch), each.sum() / 6)
    loss = case.make()
    loss.reduction = "none"
    assert torch.equal(loss(*batch), each)


def test_weights_scale_the_rows_and_divide_the_mean(case, batch):
    target = batch[1]
    weight = torch.tensor([0.0, 1.0, 2.0, 0.5, 3.0, 1.5, 0.25])
    own = weight.double()[target]
    each = rows(case, *batch)
    torch.testing.assert_close(rows(case, *batch, weight=weight), own * each)
    torch.testing.assert_close(case.make(weight=weight)(*batch), (own * each).sum() / own.sum())


def test_ignored_rows_count_nothing_and_may_hold_anything(case, batch):
    logits, target = batch[0].clone(), batch[1].clone()
    target[1], target[4] = -100, -100
    logits[1] = math.nan
    kept = [0, 2, 3, 5]
    expected = torch.zeros(6, dtype=torch.float64)
    expected[kept] = rows(case, logits[kept], target[kept])
    torch.testing.assert_close(rows(case, logits, target), expected)
    torch.testing.assert_close(case.make()(logits, target), expected.sum() / 4)
    assert torch.equal(gradient(case, logits, target)[[1, 4]], torch.zeros(2, C, dtype=torch.float64))
    target[[1, 4]] = 9
    torch.testing.assert_close(rows(case, logits, target, ignore_index=9), expected)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5, 3.0, 0.0, 1.0, 4.0]])
def test_one_hot_float_target_equals_the_integer_target(case, batch, weight):
    logits, target = batch
    one_hot = torch.nn.functional.one_hot(target, C).double()
    for reduction in ("mean", "sum", "none"):
        loss = case.make(reduction=reduction, weight=weight)
        torch.testing.assert_close(loss(logits, one_hot), loss(logits, target))
    torch.testing.assert_close(
        gradient(case, logits, one_hot, weight=weight), gradient(case, logits, target, weight=weight)
    )


def test_soft_target_is_the_mixture_of_hard_ones(case, batch):
    logits, target = batch
    other = (target + 2) % C
    one_hot = torch.nn.functional.one_hot
    mixed = 0.3 * one_hot(target, C).double() + 0.7 * one_hot(other, C)
    torch.testing.assert_close(
        rows(case, logits, mixed), 0.3 * rows(case, logits, target) + 0.7 * rows(case, logits, other)
    )
    torch.testing.assert_close(
        gradient(case, logits, mixed), 0.3 * gradient(case, logits, target) + 0.7 * gradient(case, logits, other)
    )


def test_soft_target_over_all_classes(case, batch):
    logits, _ = batch
    target = make_batch(6, C, seed=1)[0].softmax(1)
    hard = torch.stack([rows(case, logits, torch.full((6,), c)) for c in range(C)], 1)
    torch.testing.assert_close(rows(case, logits, target), (target * hard).sum(1))


def test_shapes_beyond_two_dimensions(case, batch):
    logits, target = make_batch(12, C)
    each = rows(case, logits, target)
    grid, labels = logits.reshape(2, 3, 2, C), target.reshape(2, 3, 2)
    torch.testing.assert_close(rows(case, grid, labels, class_dim=-1), each.reshape(2, 3, 2))
    torch.testing.assert_close(rows(case, grid.movedim(-1, 1), labels), each.reshape(2, 3, 2))
    torch.testing.assert_close(case.make()(grid.movedim(-1, 1), labels), each.mean())
    assert rows(case, logits[0], target[0]).shape == ()
    torch.testing.assert_close(rows(case, logits[0], target[0]), each[0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_dtype_of_the_target(case, batch, dtype):
    logits, target = batch
    assert torch.equal(case.make()(logits, target.to(dtype)), case.make()(logits, target))


def test_no_rows_have_a_nan_mean_and_a_zero_sum(case):
    logits = torch.zeros(0, C, requires_grad=True)
    for target in (torch.zeros(0, dtype=torch.long), torch.zeros(0, C)):
        assert case.make()(logits, target).isnan()
        total = case.make(reduction="sum")(logits, target)
        assert total == 0
        assert torch.autograd.grad(total, logits)[0].shape == (0, C)
        assert case.make(reduction="none")(logits, target).shape == (0,)


def test_all_rows_ignored_have_a_nan_mean_a_zero_sum_and_no_gradient(case, batch):
    logits, target = batch[0].requires_grad_(), torch.full((6,), -100)
    assert case.make()(logits, target).isnan()
    for reduction in ("mean", "sum"):
        (slope,) = torch.autograd.grad(case.make(reduction=reduction)(logits, target), logits)
        assert torch.equal(slope, torch.zeros(6, C, dtype=torch.float64))


# --- the module ---


def test_class_equals_function(case, batch):
    assert torch.equal(case.make()(*batch), case.function(*batch, **case.options))


def test_survives_pickle_deepcopy_and_moving(case, batch):
    loss = case.make(weight=[1.0, 2.0, 0.5, 3.0, 0.0, 1.0, 4.0])
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert torch.equal(twin(*batch), loss(*batch))
        assert repr(twin) == repr(loss)
    assert loss.to("meta").weight.device.type == "meta"


def test_options_may_be_assigned_and_are_checked_when_used(case, batch):
    loss = case.make()
    for name in ("k", "temperature"):
        if name in case.options:
            setattr(loss, name, 2)
            assert torch.equal(loss(*batch), case.make(**{name: 2})(*batch))
            setattr(loss, name, 0)
            with pytest.raises(ValueError, match=rf"^{name} must be (at least 1|a finite number above 0), got 0\.$"):
                loss(*batch)
            setattr(loss, name, case.options[name])
    loss.reduction = "average"
    with pytest.raises(ValueError, match=r"^reduction must be one of 'mean', 'sum', 'none', got 'average'\.$"):
        loss(*batch)


def test_inputs_are_not_changed(case, batch):
    logits, target = batch
    before = logits.clone(), target.clone()
    case.make()(logits.requires_grad_(), target).backward()
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])


def test_a_graph_can_be_used_twice(case, batch):
    logits = batch[0].requires_grad_()
    loss = case.make()(logits, batch[1])
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    assert torch.equal(torch.autograd.grad(loss, logits)[0], first)


def test_compiles_whole_and_is_not_compiled_again_for_each_temperature(case):
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    loss = case.make(weight=[1.0, 2.0, 0.5, 3.0, 0.25, 1.0, 4.0])
    compiled = torch.compile(loss, fullgraph=True, backend=counter)
    logits, target = make_batch(6, C)
    logits = logits.float().requires_grad_()
    target[2] = -100
    temperatures = (1.0, 0.8, 0.5, 0.3, 2.0) if "temperature" in case.options else (1.0,)
    for temperature in temperatures:
        loss.temperature = temperature
        found, expected = compiled(logits, target), loss(logits, target)
        torch.testing.assert_close(found, expected)
        (slope,), (wanted,) = torch.autograd.grad(found, logits), torch.autograd.grad(expected, logits)
        torch.testing.assert_close(slope, wanted, atol=1e-6, rtol=1e-5)
    # Once for the first temperature, once for any; older compilers take the smooth SVM's constants for new ones each time.
    is_old = Version(torch.__version__) < Version("2.14") and case.module is SmoothTopKSVMLoss
    assert counter.frame_count <= (len(temperatures) + 1 if is_old else 2)


def test_fastai_finds_what_it_expects(case, batch):
    loss, logits = case.make(), batch[0]
    assert loss.y_int is True
    torch.testing.assert_close(loss.activation(logits), logits.softmax(1))
    assert torch.equal(loss.decodes(loss.activation(logits)), logits.argmax(1))


@pytest.mark.parametrize("loss", [CalibratedTopKHingeLoss(), NoisedTopKHingeLoss()])
def test_a_forward_derivative_under_no_grad_is_that_with_gradients(loss):
    logits, direction = torch.randn(2, 8, 12, generator=torch.Generator().manual_seed(0))
    target = torch.arange(8)

    def derivative():
        torch.manual_seed(0)
        return torch.func.jvp(lambda scores: loss(scores, target), (logits,), (direction,))[1]

    expected = derivative()
    with torch.no_grad():
        assert derivative() == expected != 0
