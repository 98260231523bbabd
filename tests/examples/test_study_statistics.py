"""The statistics of the study against scipy, against slow formulas, and against what they promise."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torchvision")
pytest.importorskip("scipy")

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "study"))

from comparisons import compare, epochs_to_reach, holm, paired, results_of, tuning
from grid_a import choose
from records import Results
from scipy import stats
from tables import TABLES, difference


def record(method, candidate, stage, split, top5, curve=None):
    return {
        "grid": "a",
        "setting": "glyphs, clean",
        "method": method,
        "candidate": candidate,
        "stage": stage,
        "split": split,
        "learning_rate": 0.01 * (candidate + 1),
        "decay": 0.1,
        "option": "",
        "top1": top5 / 2,
        "top5": top5,
        "top10": top5,
        "curve": curve,
        "seconds": 0.25,
    }


def test_paired_is_the_t_test_and_interval_of_scipy():
    values, base = np.random.default_rng(0).normal(size=(2, 20))
    found, expected = paired(values.tolist(), base.tolist()), stats.ttest_rel(values, base)
    low, high = expected.confidence_interval(0.95)
    assert found.splits == 20
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.difference - found.half_width, found.difference + found.half_width) == pytest.approx((low, high))


def test_the_detectable_difference_is_found_in_four_of_five_comparisons():
    found = paired(np.random.default_rng(1).normal(size=20).tolist(), [0.0] * 20)
    quantile = stats.t(19).ppf(0.975)
    error = found.half_width / quantile
    power = stats.nct(19, found.detectable / error).sf(quantile)
    assert power == pytest.approx(0.8, abs=0.01)


def test_differences_without_any_spread_have_no_doubt():
    assert paired([0.5, 0.5], [0.25, 0.25]).p == 0
    assert paired([0.5, 0.5], [0.5, 0.5]).p == 1


def test_holm_is_the_closed_test_by_bonferroni():
    values = np.random.default_rng(2).uniform(0, 0.2, size=6).tolist()
    subsets = [s for size in range(1, 7) for s in itertools.combinations(range(6), size)]
    slow = [max(min(1, len(s) * min(values[i] for i in s)) for s in subsets if place in s) for place in range(6)]
    assert holm(values) == pytest.approx(slow)
    assert holm([]) == []


def test_the_margin_is_one_point_around_nothing():
    assert paired([0.505, 0.495, 0.501], [0.5, 0.49, 0.499]).equivalent
    assert not paired([0.52, 0.51, 0.53], [0.5, 0.49, 0.51]).equivalent  # 2 points, for certain


def test_the_best_mean_over_the_tuning_splits_is_chosen_and_the_first_of_equals():
    rows = [
        record("m", c, "tuning", s, v)
        for c, vs in enumerate([(0.4, 0.4), (0.1, 0.9), (0.5, 0.5)])
        for s, v in enumerate(vs)
    ]
    assert choose(Results(rows), "glyphs, clean", "m") == 1
    # A test never chooses.
    assert choose(Results([*rows, record("m", 0, "test", 0, 1.0)]), "glyphs, clean", "m") == 1
    assert choose(Results(), "glyphs, clean", "m") is None


def test_regret_is_what_one_split_alone_would_have_cost_on_the_others():
    scores = {0: (0.9, 0.1, 0.1), 1: (0.5, 0.6, 0.5), 2: (0.4, 0.5, 0.6)}
    rows = [record("m", c, "tuning", s, v) for c, values in scores.items() for s, v in enumerate(values)]
    found = tuning(Results(rows), "glyphs, clean", "m")
    # By split 0 candidate 0, which is (0.1 + 0.1)/2 on the others, where candidates 1 and 2 are (0.6 + 0.5)/2 both.
    # By split 1 candidate 1 at (0.5 + 0.5)/2, candidate 0 at (0.9 + 0.1)/2, the same; by split 2 candidate 2 at
    # (0.4 + 0.5)/2, where candidate 1 has (0.5 + 0.6)/2.
    assert found.regret == pytest.approx((0.45 + 0.0 + 0.1) / 3)
    assert found.best == pytest.approx(1.6 / 3)
    assert found.median == pytest.approx(1.5 / 3)


def test_only_the_chosen_candidate_counts_and_only_splits_that_both_have():
    rows = [record(m, c, "tuning", 0, 0.5 + c / 10) for m in ("cross entropy", "m") for c in (0, 1)]
    rows += [record("cross entropy", 1, "test", s, 0.5) for s in range(3)]
    rows += [record("m", 1, "test", s, 0.6 + s / 100) for s in range(2)] + [record("m", 0, "test", 2, 0.0)]
    assert sorted(results_of(Results(rows), "glyphs, clean", "m")) == [0, 1]
    (found,) = compare(Results(rows), "glyphs, clean").values()
    assert found.paired.splits == 2
    assert found.paired.difference == pytest.approx((0.1 + 0.11) / 2)


def test_marks_say_significance_and_equality_apart():
    def marked(differences):
        rows = [record(m, 0, "tuning", 0, 0.5) for m in ("cross entropy", "m")]
        for split, value in enumerate(differences):
            rows += [record("cross entropy", 0, "test", split, 0.5), record("m", 0, "test", split, 0.5 + value)]
        return difference(compare(Results(rows), "glyphs, clean")["m"]).split(" ", 3)[3:]

    assert marked([0.004, 0.005, 0.006]) == ["↑="]
    assert marked([0.04, 0.05, 0.06]) == ["↑"]
    assert marked([-0.04, -0.05, -0.06]) == ["↓"]
    assert marked([0.001, -0.001, 0.0]) == ["="]
    assert marked([0.1, -0.1, 0.05]) == []


def test_epochs_count_from_one_and_a_bar_that_is_never_reached_is_said():
    def curve(*top5):
        return [[value / 2, value, value] for value in top5]

    rows = [record(m, 0, "tuning", 0, 0.5) for m in ("cross entropy", "coarse to fine")]
    rows += [record("cross entropy", 0, "test", 0, 0.6, curve(0.3, 0.56, 0.6))]
    rows += [record("coarse to fine", 0, "test", 0, 0.58, curve(0.1, 0.2, 0.58))]
    assert epochs_to_reach(Results(rows), "glyphs, clean", "cross entropy", 0.05) == [2]
    assert epochs_to_reach(Results(rows), "glyphs, clean", "coarse to fine", 0.05) == [3]
    assert epochs_to_reach(Results(rows), "glyphs, clean", "coarse to fine", 0.01) == [None]


def test_what_was_not_run_is_listed():
    (line, *_) = TABLES["missing"](Results())
    assert line == "- glyphs, clean: all methods"
