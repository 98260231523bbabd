"""What decisions keep of each image over batches and processes gives the decisions of all scores at once."""

from __future__ import annotations

import pickle
import warnings

import pytest
import torch
from torchmetrics import MetricCollection

from tests.decisions.known_truth import Population
from tests.distributed import run_processes
from topk_lightning.decisions import (
    LevelMeter,
    ReviewMeter,
    best_k,
    review_plan,
    risk_coverage,
    roll_up,
    roll_up_on_halves,
)

NAMES = [f"c{index}" for index in range(20)]
PAIRS = [number * 8 // 20 for number in range(20)]
LEVELS = {"pair": PAIRS, "kind": [pair // 3 for pair in PAIRS]}
IMAGES = 401


def decide(rank, world_size, share):
    """Each process sees its rows; one may see none."""
    logits, target = Population(images=2000, seed=1).draw(IMAGES)
    rows = slice(0, share) if rank == 0 else slice(share, None)
    review, level = ReviewMeter(3), LevelMeter(LEVELS, NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a process that has seen nothing
        for part in torch.arange(IMAGES)[rows].split(60):
            review.update(logits[part], target[part])
            level.update(logits[part], target[part])
        plan = review_plan(review, target_error=0.1)
        sure = roll_up(level, target_error=0.15)
        outcome = sure.outcome(level)
    found = plan.threshold, plan.list_threshold, *vars(plan.outcome(review)).values(), risk_coverage(review).aurc
    return *found, sure.threshold, outcome.answered, outcome.right, best_k(review, costs={"wrong": 5, "name": 0.3}).k


def expected():
    logits, target = Population(images=2000, seed=1).draw(IMAGES)
    plan = review_plan(logits, target, target_error=0.1, k=3)
    sure = roll_up(logits, target, hierarchy=LEVELS, target_error=0.15)
    outcome = sure.outcome(logits, target)
    aurc = risk_coverage(logits, target).aurc
    found = plan.threshold, plan.list_threshold, *vars(plan.outcome(logits, target)).values(), aurc
    return (
        *found,
        sure.threshold,
        outcome.answered,
        outcome.right,
        best_k(logits, target, costs={"wrong": 5, "name": 0.3}).k,
    )


@pytest.mark.parametrize("share", [133, IMAGES], ids=["uneven", "one idle"])
def test_two_processes_decide_as_one(share):
    for found in run_processes(decide, 2, share):
        assert found == pytest.approx(expected())


def test_batches_decide_as_all_at_once():
    assert decide(0, 1, IMAGES) == pytest.approx(expected())


def test_of_one_image_it_keeps_rows():
    review, level = ReviewMeter(3), LevelMeter({"kind": LEVELS["kind"]}, NAMES)
    for meter in (review, pickle.loads(pickle.dumps(review)), level):
        meter.update(torch.eye(20)[:1], torch.tensor([0]))
    assert [len(part) for part in review.compute()] == [1, 1, 1]
    assert review.compute() is review.compute()
    assert level.compute()[0].group.shape == (1, 2)
    assert risk_coverage(review).risk.tolist() == [0]
    assert review_plan(review).images == 1


def test_two_meters_of_other_options_share_nothing_in_a_collection():
    logits, target = Population(images=200, seed=2).draw(50)
    both = MetricCollection({"two": ReviewMeter(2), "five": ReviewMeter(5)})
    for _ in range(2):
        both.update(logits, target)
    found = both.compute()
    probability = logits.softmax(1).sort(1, descending=True).values
    for name, k in (("two", 2), ("five", 5)):
        assert found[f"{name}_best" if f"{name}_best" in found else name] is not None
        meter = both[name]
        assert meter.compute().best[:50].tolist() == pytest.approx(probability[:, :k].sum(1).tolist())


def test_another_k_than_that_of_the_meter_is_refused():
    meter = ReviewMeter(3)
    meter.update(*Population(images=200, seed=2).draw(80))
    with pytest.raises(ValueError, match=r"k must be that of the meter \(3\), got 4\."):
        review_plan(meter, k=4)


def test_fits_on_halves_are_those_of_a_loop():
    logits, target = Population(images=2000, seed=3).draw(200)
    meter = LevelMeter(LEVELS, NAMES)
    meter.update(logits, target)
    found = roll_up_on_halves(meter, target_error=0.2, draws=4, generator=torch.Generator().manual_seed(5))
    generator, answered, right = torch.Generator().manual_seed(5), 0, 0
    for _ in range(4):
        order = torch.randperm(200, generator=generator)
        sure = roll_up(logits[order[:100]], target[order[:100]], hierarchy=LEVELS, target_error=0.2)
        outcome = sure.outcome(logits[order[100:]], target[order[100:]])
        answered, right = answered + outcome.answered, right + outcome.right
    assert (found.draws, found.images) == (4, 100)
    assert found.answered == pytest.approx(answered / 400)
    assert found.right == pytest.approx(right / answered)
    assert found.error == pytest.approx((answered - right) / 400)
