"""The level one is sure of: against a plain loop, and against the truth of a population."""

from __future__ import annotations

import json
import math

import pytest
import torch

from tests.decisions.known_truth import Population
from topk_lightning.decisions import RollUp, group_of_set, roll_up
from topk_lightning.decisions._binomial import allowed_errors
from topk_lightning.hierarchy import read_levels

# 20 classes in 8 groups of 2 or 3, these in 3, these in one.
PAIRS = [number * 8 // 20 for number in range(20)]
KINDS = [pair // 3 for pair in PAIRS]
LEVELS = {"pair": PAIRS, "kind": KINDS, "all": [0] * 20}


def answer(probability, threshold):
    """Level and group of one row, by a loop."""
    for level, groups in (("class", range(20)), *LEVELS.items()):
        sums = {}
        for p, group in zip(probability, groups, strict=True):
            sums[group] = sums.get(group, 0.0) + p
        best = max(sums, key=lambda group: (sums[group], -group))
        if sums[best] >= threshold:
            return level, best
    return None, None


def holds(level, group, target):
    return group is not None and (target if level == "class" else LEVELS[level][target]) == group


def test_answers_are_those_of_a_loop():
    logits, target = Population(seed=1).draw(60)
    sure = roll_up(logits, target, hierarchy=LEVELS, target_error=0.2)
    probability = logits.softmax(1).tolist()
    answers = sure.answers(logits)
    expected = [answer(row, sure.threshold) for row in probability]
    assert [each.level for each in answers] == [level for level, _ in expected]
    outcome = sure.outcome(logits, target)
    right = [holds(*each, label) for each, label in zip(expected, target.tolist(), strict=True)]
    assert outcome.right == sum(right)
    assert outcome.answered == sum(level is not None for level, _ in expected)
    assert [level for level, _, _ in answers[0].by_level] == ["class", "pair", "kind", "all"]
    assert answers[0].by_level[3][2] == pytest.approx(1)


def test_the_threshold_is_the_first_from_strict_to_lax_before_too_many_are_wrong():
    levels = {"pair": PAIRS, "kind": KINDS}
    logits, target = Population(seed=2).draw(80)
    sure = roll_up(logits, target, hierarchy=levels, target_error=0.15)
    probability, labels = logits.softmax(1), target.tolist()
    of_level = [probability] + [
        torch.zeros(80, max(groups) + 1, dtype=torch.float64).index_add(1, torch.tensor(groups), probability)
        for groups in levels.values()
    ]
    places = sorted({float(p) for sums in of_level for p in sums.amax(1)}, reverse=True)
    lowest = math.inf
    for place in places:
        wrong = 0
        for row in range(80):
            for number, sums in enumerate(of_level):
                if float(sums[row].amax()) >= place:
                    groups = [range(20), *levels.values()][number]
                    wrong += int(sums[row].argmax()) != groups[labels[row]]
                    break
        if wrong > allowed_errors(80, 0.15, 0.95):
            break
        lowest = place
    assert sure.threshold == pytest.approx(lowest, rel=1e-9)


def test_the_promise_is_kept_in_95_of_100_fits_by_the_true_risk():
    population, levels = Population(seed=11), {"pair": PAIRS, "kind": KINDS}
    probability = population.logits.softmax(1)
    best, chance = [], []  # of each level: its best probability, and that it is right
    for groups in (list(range(20)), PAIRS, KINDS):
        index, size = torch.tensor(groups), max(groups) + 1
        sums, truth = (
            torch.zeros(len(p), size, dtype=torch.float64).index_add(1, index, p)
            for p in (probability, population.truth)
        )
        best.append(sums.amax(1))
        chance.append(truth.gather(1, sums.argmax(1, keepdim=True)).flatten())
    kept = 0
    for _ in range(100):
        threshold = roll_up(*population.draw(300), hierarchy=levels, target_error=0.1).threshold
        wrong, open_ = (
            torch.zeros(len(probability), dtype=torch.float64),
            torch.ones(len(probability), dtype=torch.bool),
        )
        for p, right in zip(best, chance, strict=True):
            said = open_ & (p >= threshold)
            wrong += said * (1 - right)
            open_ &= ~said
        kept += float(wrong.mean()) <= 0.1
    assert kept >= 95


def test_the_best_group_need_not_hold_the_first_guess():
    logits = torch.tensor([[0.4, 0.3, 0.3]]).log().expand(100, 3)
    sure = roll_up(logits, torch.ones(100, dtype=torch.int64), hierarchy=[0, 1, 1], class_names=["a", "b", "c"])
    said = sure.answers(logits)[0]
    assert (said.level, said.label) == ("group", "group 1")
    assert said.by_level[0][:2] == ("class", "a")


def test_too_few_images_say_nothing_and_why():
    sure = roll_up(torch.eye(2)[[0] * 20] * 9, torch.zeros(20, dtype=torch.int64), hierarchy=[0, 0])
    assert sure.threshold == math.inf
    assert sure.promise == (
        "Nothing can be promised: for at most 10 % wrong answers with 95 % confidence it takes at least 29 images without "
        "an error, and 20 validation images are too few."
    )
    said = sure.answers(torch.eye(2))[0]
    assert (said.level, said.label) == (None, "")
    assert math.isnan(said.probability)


def test_a_score_that_is_no_number_gets_no_answer():
    logits = torch.eye(4)[[0, 1, 2, 3] * 20] * 9
    logits[3, 0] = torch.nan
    sure = roll_up(logits, torch.arange(4).repeat(20), hierarchy=[0, 0, 1, 1])
    assert [said.level for said in sure.answers(logits)[:4]] == ["class", "class", "class", None]


def test_how_far_off_wrong_answers_are():
    names = [f"c{index}" for index in range(20)]
    sure = RollUp(0.5, 0.1, 0.95, 100, tuple(names), read_levels(LEVELS, names))
    logits = torch.eye(20)[[0, 0, 0, 0]] * 20
    outcome = sure.outcome(logits, torch.tensor([0, 1, 5, 19]))
    assert outcome.near == (1, 1, 1, 0)
    assert sum(outcome.near) == outcome.answered - outcome.right == 3


def test_a_saved_roll_up_gives_the_same_answers():
    logits, target = Population(seed=3).draw(100)
    sure = roll_up(logits, target, hierarchy=LEVELS, target_error=0.2)
    again = RollUp.from_dict(json.loads(json.dumps(sure.to_dict())))
    assert [each.label for each in again.answers(logits)] == [each.label for each in sure.answers(logits)]
    with pytest.raises(ValueError, match=r"the roll-up must hold the values of RollUp\.to_dict, got 'threshold'\."):
        RollUp.from_dict({"threshold": 0.5})
    with pytest.raises(ValueError, match=r"scores must have the 20 classes of the hierarchy, got 3\."):
        sure.answers(torch.zeros(1, 3))


def test_a_set_that_is_one_group_is_said_as_the_group():
    levels = read_levels({"kind": [0, 0, 1, 1], "all": [0, 0, 0, 0]}, list("abcd"))
    said = {
        (1, 1, 0, 0): ("kind", "group 0"),
        (1, 1, 1, 1): ("all", "group 0"),
        (1, 0, 0, 0): None,
        (1, 1, 1, 0): None,
        (0, 0, 0, 0): None,
    }
    for members, expected in said.items():
        assert group_of_set(torch.tensor(members, dtype=torch.bool), levels) == expected
