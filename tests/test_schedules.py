"""The laws of schedules: ends, bounds, direction, window, symmetry, plain data."""

import copy
import dataclasses
import math
import pickle
import re
from itertools import pairwise

import pytest
import yaml
from hypothesis import assume, given, strategies as st

from topk_lightning.schedules import RAMPS, Constant, Cosine, Exponential, Linear, Schedule, Steps, named_ramp

progresses = st.floats(0, 1)
values = st.floats(1e-12, 1e12)
ramps = st.sampled_from(sorted(RAMPS))


@st.composite
def windows(draw):
    hold, finish = sorted((draw(progresses), draw(progresses)))
    assume(hold < finish)
    return hold, finish


def a_ramp(name, start, end, window):
    return named_ramp(name, start, end, hold_fraction=window[0], finish_fraction=window[1])


@given(ramps, values, values, windows(), progresses)
def test_a_ramp_is_exactly_start_before_its_window_and_exactly_end_behind_it(name, start, end, window, progress):
    ramp = a_ramp(name, start, end, window)
    if progress <= window[0]:
        assert ramp(progress) == start
    if progress >= window[1]:
        assert ramp(progress) == end


@given(ramps, values, values, windows(), progresses)
def test_a_ramp_never_leaves_its_ends(name, start, end, window, progress):
    assert min(start, end) <= a_ramp(name, start, end, window)(progress) <= max(start, end)


@given(ramps, values, values, windows(), progresses, progresses)
def test_a_ramp_moves_in_one_direction(name, start, end, window, one, other):
    ramp = a_ramp(name, start, end, window)
    earlier, later = ramp(min(one, other)), ramp(max(one, other))
    slack = 1e-9 * max(start, end)
    assert later >= earlier - slack if end >= start else later <= earlier + slack


@given(ramps, values, values, progresses)
def test_both_directions_are_mirror_images(name, start, end, progress):
    forth, back = named_ramp(name, start, end), named_ramp(name, end, start)
    assert forth(progress) == pytest.approx(back(1 - progress), rel=1e-6, abs=1e-9 * max(start, end))


@given(ramps, values, progresses)
def test_equal_ends_are_a_constant(name, value, progress):
    assert named_ramp(name, value, value)(progress) == Constant(value)(progress) == value


@given(ramps, values, values, windows(), st.floats(0.01, 0.99))
def test_a_window_squeezes_the_ramp(name, start, end, window, share):
    hold, finish = window
    assume(finish - hold > 1e-3)
    squeezed = a_ramp(name, start, end, window)(min(1.0, hold + share * (finish - hold)))
    assert squeezed == pytest.approx(named_ramp(name, start, end)(share), rel=1e-6, abs=1e-6 * max(start, end))


def test_the_middle_of_each_ramp():
    assert Linear(4, 1)(0.5) == (4 + 1) / 2
    assert Cosine(4, 1)(0.5) == pytest.approx((4 + 1) / 2)
    assert Exponential(4, 1)(0.5) == pytest.approx(math.sqrt(4 * 1))
    assert Cosine(0, 1)(0.25) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)


def test_exponential_survives_values_whose_quotient_overflows():
    assert Exponential(1e-300, 1e300)(0.5) == pytest.approx(1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.data(), progresses)
def test_steps_is_the_last_value_that_has_begun(values, data, progress):
    later = data.draw(
        st.lists(st.floats(1e-6, 1), min_size=len(values) - 1, max_size=len(values) - 1, unique=True).map(sorted)
    )
    at = [0, *later]
    expected = [value for value, start in zip(values, at, strict=True) if start <= progress][-1]
    assert Steps(values, at)(progress) == expected


SCHEDULES = [
    Constant(2.0),
    Linear(4.0, 1.0),
    Cosine(1.0, 4.0, 0.1, 0.9),
    Exponential(4.0, 1.0, finish_fraction=0.5),
    Steps((5, 3, 1), (0, 0.5, 0.8)),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_it_is_plain_frozen_data(schedule):
    assert isinstance(schedule, Schedule)
    for again in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert again == schedule
        assert hash(again) == hash(schedule)
        assert [again(i / 10) for i in range(11)] == [schedule(i / 10) for i in range(11)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.start = 1.0
    plain = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(schedule).items()}
    assert type(schedule)(**yaml.safe_load(yaml.safe_dump(plain))) == schedule


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Linear(4.0, math.inf), "end must be a finite number, got inf."),
        (lambda: Exponential(4.0, 0.0), "end must be a finite number above 0, got 0.0."),
        (lambda: Exponential(-4.0, 1.0), "start must be a finite number above 0, got -4.0."),
        (lambda: Linear(4, 1, 0.5, 0.5), "finish_fraction must be above hold_fraction (0.5), got 0.5."),
        (lambda: Linear(4, 1, -0.1), "hold_fraction must be a fraction in [0, 1], got -0.1."),
        (lambda: Linear(4, 1)(1.5), "progress must be a fraction in [0, 1], got 1.5."),
        (lambda: Constant(1.0)(-0.5), "progress must be a fraction in [0, 1], got -0.5."),
        (lambda: Steps((), ()), "values must hold at least one number, got none."),
        (lambda: Steps((5, 3), (0,)), "at must hold 2 numbers, one for each of values, got 1."),
        (lambda: Steps((5, 3), (0.1, 0.5)), "at must begin with 0, where training begins, got 0.1."),
        (lambda: Steps((5, 3, 1), (0, 0.5, 0.5)), "at must ascend, got (0, 0.5, 0.5)."),
        (lambda: Steps((5, 3), (0, 1.5)), "at must be a fraction in [0, 1], got 1.5."),
        (
            lambda: named_ramp("quadratic", 4, 1),
            "schedule must be one of 'exponential', 'linear', 'cosine', got 'quadratic'.",
        ),
    ],
)
def test_errors_name_the_value(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()


def test_a_text_is_no_number():
    with pytest.raises(TypeError) as error:
        Linear("4", 1)
    assert str(error.value) == "start must be a number, got '4' of type str."
    with pytest.raises(TypeError) as error:
        Steps("531", (0, 0.5, 0.8))
    assert str(error.value) == "values must be a sequence of numbers, got str."


@given(ramps, progresses)
def test_a_ramp_has_no_jump(name, progress):
    grid = [progress, min(1.0, progress + 1e-6)]
    ramp = named_ramp(name, 4.0, 1.0)
    assert all(abs(ramp(a) - ramp(b)) < 1e-4 for a, b in pairwise(grid))
