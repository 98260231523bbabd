"""The fitted temperature: exact, free of scale and shift, and harmless to the order."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from topk_lightning import TemperatureScaler, predict_topk, topk_indices
from topk_lightning.metrics import CalibrationError
from topk_lightning.temperature_scaler import _BLOCK, _best_temperature, _slope

INF, NAN = math.inf, math.nan
LOWER = (
    "TemperatureScaler stopped at its lower bound 0.01: the likelihood still grows as the temperature falls, as it does "
    "without end where every target has the highest logit. Fit it on more images, none of which the model was trained on."
)
UPPER = (
    "TemperatureScaler stopped at its upper bound 100: the likelihood still grows as the temperature rises, as it does "
    "where the logits say nothing about the targets. Check that logits and targets belong together."
)


def data(rows=300, classes=6, seed=0):
    """Logits s, and targets drawn from softmax(s): perfectly calibrated but for chance."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


def temperature(logits, target, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return TemperatureScaler().fit(logits, target, **options).temperature.item()


def negative_log_likelihood(rows, labels, inverse):
    """The definition, in loops."""
    total = 0.0
    for row, label in zip(rows, labels, strict=True):
        best = max(row)
        total += math.log(sum(math.exp(inverse * (score - best)) for score in row)) - inverse * (row[label] - best)
    return total / len(rows)


def slow_temperature(logits, target):
    """Golden section on the convex function of 1/T, down to the square root of the precision."""
    rows, labels, low, high = logits.tolist(), target.tolist(), 0.01, 100.0
    golden = (math.sqrt(5) - 1) / 2
    while high - low > 1e-9:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if negative_log_likelihood(rows, labels, left) < negative_log_likelihood(rows, labels, right):
            high = right
        else:
            low = left
    return 2 / (low + high)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_temperature_is_the_minimum_that_a_search_finds(seed):
    logits, target = data(60, 4, seed)
    assert temperature(logits, target) == pytest.approx(slow_temperature(logits, target), rel=1e-6)


def test_two_classes_have_a_temperature_in_closed_form():
    # Odds of 3 : 1 are promised, and 9 : 1 or 3 : 2 is the truth: T = log 3 / log odds.
    logits = torch.tensor([[3.0, 1.0]]).log().expand(10, 2)
    for right in (9, 6):
        target = torch.tensor([0] * right + [1] * (10 - right))
        assert temperature(logits, target) == pytest.approx(math.log(3) / math.log(right / (10 - right)), rel=1e-6)


def test_the_slope_is_zero_there_to_many_digits():
    logits, target = data()
    best = _best_temperature(lambda inverse: _slope(logits, target, inverse)[:2])
    slope, curvature = _slope(logits, target, 1 / best)[:2]
    assert abs(slope / curvature) * best < 1e-11


@given(st.floats(0.05, 20), st.floats(-1e3, 1e3))
@settings(max_examples=30)
def test_scaled_logits_have_the_scaled_temperature_and_a_shift_changes_nothing(scale, shift):
    logits, target = data(80)
    expected = scale * temperature(logits, target)
    assert temperature(scale * logits + shift, target) == pytest.approx(expected, rel=1e-5)


@given(st.integers(2, 5), st.integers(2, 12), st.integers(0, 10**6))
@settings(max_examples=60)
def test_no_neighbouring_temperature_is_better_whatever_the_data(classes, rows, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 10 ** (4 * torch.rand((), generator=generator) - 2) * torch.randn(rows, classes, generator=generator)
    logits, target = logits.double(), torch.randint(classes, (rows,), generator=generator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = TemperatureScaler().fit(logits, target).temperature.item()
    best = cross_entropy(logits / found, target)
    for other in (0.01, found * 0.999, found * 1.001, 100.0):
        assert best <= cross_entropy(logits / min(max(other, 0.01), 100.0), target) + 1e-9


def test_an_overconfident_model_becomes_calibrated_and_its_order_stays():
    logits, target = data(20_000, 5)
    promised = 3 * logits
    scaler = TemperatureScaler().fit(promised[:10_000], target[:10_000])
    assert scaler.temperature.item() == pytest.approx(3, rel=0.03)
    test, labels = promised[10_000:], target[10_000:]
    before, after = CalibrationError(), CalibrationError()
    before.update(test, labels)
    after.update(scaler(test), labels)
    assert before.curve().overconfidence > 0.1
    assert before.compute() > 0.1
    assert after.compute() < 0.02
    assert torch.equal(topk_indices(scaler(test), 5), topk_indices(test, 5))


def test_many_logits_are_read_block_by_block_with_the_same_result():
    logits, target = data(900, 1500)
    assert logits.numel() > 10 * _BLOCK
    parts = [temperature(part, target) for part in (logits, logits.float())]
    rows = cross_entropy(logits / parts[0], target)
    assert parts[0] == pytest.approx(parts[1], rel=1e-5)
    assert rows < cross_entropy(logits / (parts[0] * 1.01), target)
    assert rows < cross_entropy(logits / (parts[0] / 1.01), target)


def test_masked_classes_are_as_if_they_were_not_there():
    logits, target = data()
    masked = torch.cat([logits, torch.full((len(logits), 2), -INF)], 1)
    assert temperature(masked, target) == temperature(logits, target)


def test_ignored_rows_and_more_dimensions():
    logits, target = data(60)
    expected = temperature(logits, target)
    ignored = torch.cat([logits, torch.full((2, 6), NAN)]), torch.cat([target, torch.tensor([-100, -100])])
    assert temperature(*ignored) == expected
    assert temperature(logits.view(6, 10, 6), target.view(6, 10), class_dim=-1) == expected
    assert temperature(logits.view(6, 10, 6).movedim(-1, 1), target.view(6, 10)) == expected


@pytest.mark.parametrize(
    ("logits", "target", "bound", "sentence"),
    [
        ([[2.0, 0.0], [0.0, 1.0]], [0, 1], 0.01, LOWER),
        ([[2.0, 2.0], [0.0, 1.0]], [0, 1], 0.01, LOWER),  # a tie at the top stays one
        ([[2.0, 0.0], [0.0, 1.0]], [1, 0], 100.0, UPPER),
        ([[1.0, 0.0], [1.0, 0.0]], [0, 1], 100.0, UPPER),  # right as often as chance
    ],
)
def test_where_no_temperature_is_best_it_stops_at_a_bound_and_says_why(logits, target, bound, sentence):
    with pytest.warns(UserWarning, match="^TemperatureScaler stopped") as caught:
        scaler = TemperatureScaler().fit(torch.tensor(logits), torch.tensor(target))
    assert [str(warning.message) for warning in caught] == [sentence]
    assert caught[0].filename == __file__
    assert scaler.temperature == torch.tensor(bound)


def test_equal_logits_are_left_alone():
    assert temperature(torch.zeros(5, 3), torch.arange(5) % 3) == 1


@pytest.mark.parametrize(
    ("logits", "target", "error", "sentence"),
    [
        (
            torch.zeros(0, 3),
            [],
            ValueError,
            "logits must hold at least one row with a label, got none. Rows with the label -100 are left out.",
        ),
        (
            torch.zeros(2, 3),
            [-100, -100],
            ValueError,
            "logits must hold at least one row with a label, got none. Rows with the label -100 are left out.",
        ),
        (torch.tensor([[0.0, 1.0], [NAN, 0.0]]), [0, 1], ValueError, "logits must have a finite maximum in each row, got nan in row 1."),
        (torch.tensor([[0.0, INF]]), [0], ValueError, "logits must have a finite maximum in each row, got inf in row 0."),
        (torch.tensor([[-INF, -INF]]), [0], ValueError, "logits must have a finite maximum in each row, got -inf in row 0."),
        (torch.tensor([[-INF, 0.0]]), [0], ValueError, "logits must be finite for the target of each row, got -inf in row 0."),
        (torch.zeros(1, 2), [2], ValueError, "target must hold class indices in [0, 2), got 2. Class indices start at 0."),
        (
            torch.zeros(1, 2),
            [[0.5, 0.5]],
            TypeError,
            "target must hold class indices of an integer dtype, got a float tensor of the shape of the logits.",
        ),
    ],
)  # fmt: skip
def test_mistakes_get_a_sentence_and_leave_the_temperature(logits, target, error, sentence):
    scaler = TemperatureScaler()
    with pytest.raises(error) as caught:
        scaler.fit(logits, torch.tensor(target) if target else torch.zeros(0).long())
    assert str(caught.value) == sentence
    assert scaler.temperature == 1


def test_it_is_saved_copied_and_moved_like_any_module():
    logits, target = data()
    scaler = TemperatureScaler().fit(3 * logits, target)
    other = TemperatureScaler()
    other.load_state_dict(scaler.state_dict())
    for copied in (other, copy.deepcopy(scaler), pickle.loads(pickle.dumps(scaler))):
        assert torch.equal(copied(logits), logits / scaler.temperature)
    assert list(scaler.state_dict()) == ["temperature", "standard_error"]
    assert not list(scaler.parameters())
    assert repr(scaler) == f"TemperatureScaler(temperature={scaler.temperature.item():.4g})"
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert scaler(logits.to(dtype)).dtype == dtype


def test_fitting_leaves_no_graph_and_forward_keeps_the_gradient():
    logits, target = data(20)
    logits.requires_grad_()
    scaler = TemperatureScaler().fit(logits, target)
    assert not scaler.temperature.requires_grad
    scaler(logits).sum().backward()
    torch.testing.assert_close(logits.grad, torch.full_like(logits, 1 / scaler.temperature.item()))


def test_behind_a_network_it_calibrates_predictions():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    image = torch.tensor([0.0, 2.0, 1.0]).view(3, 1, 1).expand(3, 8, 8)
    scaler = TemperatureScaler()
    scaler.temperature.fill_(2.0)
    (best,) = predict_topk(nn.Sequential(network, scaler), image, k=1)
    assert best.probability == pytest.approx(math.e / (1 + math.sqrt(math.e) + math.e), rel=1e-6)
    assert best.index == 1


def test_the_interval_holds_the_truth_as_often_as_it_says_also_of_a_model_that_is_wrong():
    for bend in (1.0, 1.5):  # the second model is wrong at every temperature
        logits, _ = data(200_000)
        truth = (logits.sign() * logits.abs() ** bend).softmax(1)
        target = torch.multinomial(truth, 1, generator=torch.Generator().manual_seed(1)).squeeze(1)
        best = TemperatureScaler().fit(logits, target).temperature.item()
        inside = 0
        for part, labels in zip(logits.split(100)[:400], target.split(100)[:400], strict=True):
            low, high = TemperatureScaler().fit(part, labels).confidence_interval(0.9)
            inside += low <= best <= high
        assert 0.85 <= inside / 400 <= 0.95


def test_the_interval_shrinks_with_the_root_of_the_images_and_is_nan_where_no_temperature_is_best():
    logits, target = data(100)
    errors = [TemperatureScaler().fit(logits.repeat(n, 1), target.repeat(n)).standard_error.item() for n in (1, 4)]
    assert errors[1] == pytest.approx(errors[0] / 2, rel=1e-4)
    assert all(math.isnan(bound) for bound in TemperatureScaler().confidence_interval())
    equal = TemperatureScaler().fit(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    assert all(math.isnan(bound) for bound in equal.confidence_interval())
