"""The review plan keeps its promise on a population of known truth, where a plain threshold does not."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from tests.decisions.known_truth import Population
from topk_lightning.decisions import (
    PILES,
    Costs,
    ReviewOutcome,
    ReviewPlan,
    best_k,
    error_bound,
    least_images,
    review_plan,
    risk_coverage,
    suspect_labels,
)
from topk_lightning.decisions._binomial import allowed_errors, binomial_tail
from topk_lightning.scores import Scores

ACCEPT, LIST, PERSON = range(3)


@settings(max_examples=25)
@given(st.integers(1, 300), st.sampled_from([0.01, 0.05, 0.1, 0.3]), st.sampled_from([0.8, 0.95, 0.99]))
def test_allowed_errors_are_the_most_that_the_sum_of_the_binomial_allows(images, rate, confidence):
    def tail(errors):
        return sum(math.comb(images, e) * rate**e * (1 - rate) ** (images - e) for e in range(errors + 1))

    allowed = allowed_errors(images, rate, confidence)
    assert allowed < 0 or tail(allowed) <= 1 - confidence + 1e-9
    assert tail(allowed + 1) > 1 - confidence - 1e-9
    assert binomial_tail(max(allowed, 0), images, rate) == pytest.approx(tail(max(allowed, 0)))


@settings(max_examples=10)
@given(st.integers(0, 40), st.integers(1, 200))
def test_the_bound_is_the_rate_at_which_so_few_errors_are_rare(errors, images):
    bound = error_bound(errors, images)
    if errors >= images:
        assert bound == 1
    else:
        assert binomial_tail(errors, images, bound) == pytest.approx(0.05, abs=1e-6)


def test_59_and_29_faultless_images_are_the_least_for_5_and_10_percent():
    assert (least_images(0.05), least_images(0.1)) == (59, 29)
    assert 0.95**59 <= 0.05 < 0.95**58
    for images, rate in ((59, 0.05), (29, 0.1)):
        logits = torch.tensor([[9.0, 0.0]]).expand(images, 2)
        target = torch.zeros(images, dtype=torch.int64)
        for among in ("all", "accepted"):
            assert review_plan(logits, target, target_error=rate, among=among).threshold < math.inf
            few = review_plan(logits[1:], target[1:], target_error=rate, among=among)
            assert few.threshold == math.inf
            assert few.promise == (
                f"Nothing can be promised: for at most {100 * rate:g} % errors with 95 % confidence it takes at least "
                f"{images} images without an error, and {images - 1} validation images are too few. "
                "A person must see every picture that no list is shown for."
            )
            assert few.piles(logits).tolist() == [PERSON] * images


def plain_threshold(logits, target, rate, among):
    """The lowest confidence at which the images seen keep the rate, without any bound."""
    confidence, guess = logits.softmax(1).max(1)
    order = confidence.argsort(descending=True)
    errors = (guess != target)[order].cumsum(0)
    number = len(target) if among == "all" else torch.arange(1, len(target) + 1)
    kept = (errors / number <= rate).nonzero().flatten()
    return float(confidence[order][kept[-1]]) if len(kept) else math.inf


@pytest.mark.parametrize(("among", "images", "rate"), [("all", 462, 0.05), ("all", 231, 0.1), ("accepted", 1000, 0.1)])
def test_the_promise_is_kept_in_95_of_100_fits_by_the_true_risk_where_a_plain_threshold_fails(among, images, rate):
    population = Population()
    wrong, confidence = 1 - population.chance_right(), population.logits.softmax(1).amax(1)
    assert 0.55 < 1 - wrong.mean() < 0.67
    kept, plain, fits = 0, 0, 100
    for _ in range(fits):
        logits, target = population.draw(images)
        plan = review_plan(logits, target, target_error=rate, among=among)
        risks = []
        for threshold in (plan.threshold, plain_threshold(logits, target, rate, among)):
            accepted = confidence >= threshold
            of = accepted.double().mean() if among == "accepted" else 1
            risks.append(float((wrong * accepted).mean()) <= rate * of)
        kept, plain = kept + risks[0], plain + risks[1]
    assert kept >= 95
    assert plain <= 65


def test_the_list_keeps_its_promise_too():
    population = Population(seed=5)
    missed, probability = 1 - population.chance_among(3), population.logits.softmax(1)
    first, best, kept = probability.amax(1), probability.topk(3).values.sum(1), 0
    for _ in range(100):
        plan = review_plan(*population.draw(462), k=3, target_error=0.1)
        listed = (best >= plan.list_threshold) & (first < plan.threshold)
        kept += float((missed * listed).mean()) <= 0.1
    assert kept >= 95


def test_where_confidence_says_nothing_and_too_many_are_wrong_nothing_is_accepted_in_95_of_100_fits():
    generator, accepting = torch.Generator().manual_seed(0), 0
    for _ in range(100):
        confidence = torch.rand(462, generator=generator, dtype=torch.float64) * 6
        target = (torch.rand(462, generator=generator) < 0.105).long()
        logits = torch.stack([confidence, torch.zeros_like(confidence)], 1)
        accepting += review_plan(logits, target, target_error=0.1, among="accepted").threshold < math.inf
    assert accepting <= 5


def test_the_threshold_is_the_lowest_with_few_enough_errors():
    logits, target = Population(seed=3).draw(300)
    plan = review_plan(logits, target, target_error=0.1)
    confidence, guess = logits.softmax(1).max(1)
    order = sorted(range(300), key=lambda row: -float(confidence[row]))
    allowed, errors = allowed_errors(300, 0.1, 0.95), 0
    for place, row in enumerate(order):  # noqa: B007
        errors += int(guess[row] != target[row])
        if errors > allowed:
            break
    assert (plan.piles(logits) == ACCEPT).sum() == place
    assert plan.threshold == pytest.approx(float(confidence[order[place - 1]]))


def test_equal_confidences_are_accepted_together_or_not_at_all():
    logits = torch.tensor([[2.0, 0.0, 0.0]]).expand(100, 3)
    target = torch.zeros(100, dtype=torch.int64)
    target[:6] = 1
    assert set(review_plan(logits, target).piles(logits).tolist()) == {LIST}


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_where_all_is_right_all_is_accepted_also_what_is_less_sure(seed):
    logits = torch.randn(100, 4, generator=torch.Generator().manual_seed(seed))
    plan = review_plan(logits, logits.argmax(1))
    assert plan.threshold == 0
    assert plan.piles(torch.zeros(1, 4)).tolist() == [ACCEPT]


def test_a_score_that_is_no_number_goes_to_a_person_at_fit_and_use():
    logits = torch.eye(4).repeat(50, 1) * 9
    target = torch.arange(4).repeat(50)
    logits[::20, 1] = torch.nan
    plan = review_plan(logits, target)
    piles = plan.piles(logits)
    assert piles[::20].tolist() == [PERSON] * 10
    assert (piles == ACCEPT).sum() == 190
    assert plan.outcome(logits, target).wrong == 0


def test_piles_do_not_depend_on_what_the_scores_come_in():
    logits, target = Population(seed=4).draw(200)
    plan = review_plan(logits, target, target_error=0.2)
    probabilities = Scores(logits.softmax(1), target, kind="probabilities")
    assert review_plan(probabilities, target_error=0.2).threshold == pytest.approx(plan.threshold)
    assert plan.piles(logits.numpy()).equal(plan.piles(logits))
    assert plan.outcome(Scores(logits, target, kind="logits")) == plan.outcome(logits, target)


def test_the_outcome_counts_three_piles():
    logits, target = Population(seed=6).draw(500)
    plan = review_plan(logits, target, target_error=0.1, k=3)
    outcome = plan.outcome(logits, target)
    piles, rank = plan.piles(logits), (logits > logits.gather(1, target[:, None])).sum(1)
    assert (outcome.accepted, outcome.listed, outcome.person) == tuple(piles.bincount(minlength=3).tolist())
    assert outcome.wrong == int(((piles == ACCEPT) & (rank > 0)).sum())
    assert outcome.missed == int(((piles == LIST) & (rank > 2)).sum())
    assert outcome.error == outcome.wrong / 500
    assert PILES == ("accept", "list", "person")


def test_a_saved_plan_is_the_same_plan():
    logits, target = Population(seed=7).draw(100)
    for error in (0.2, 0.01):
        plan = review_plan(logits, target, target_error=error, costs={"wrong": 5})
        assert ReviewPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_costs_choose_the_cheapest_plan_that_keeps_the_promise():
    logits, target = Population(seed=8).draw(2000)
    free = review_plan(logits, target, target_error=0.1, k=5)
    cheap = review_plan(logits, target, target_error=0.1, k=5, costs=Costs(wrong=20, person=1, name=0.1))
    assert cheap.threshold >= free.threshold
    assert cheap.list_threshold >= free.list_threshold

    def cost(plan):
        outcome = plan.outcome(logits, target)
        return 20 * (outcome.wrong + outcome.missed) + outcome.person + 0.5 * outcome.listed

    assert cost(cheap) < cost(free)
    assert cost(cheap) <= 2000 + 1e-9  # no dearer than a person for every picture


def test_costs_choose_the_k_of_the_cheapest_plan():
    logits, target = Population(seed=12).draw(800)
    costs = Costs(wrong=4, person=1, name=0.05)
    chosen = review_plan(logits, target, target_error=0.1, costs=costs)

    def cost(plan):
        outcome = plan.outcome(logits, target)
        names = costs.name * plan.k * outcome.listed
        return costs.wrong * (outcome.wrong + outcome.missed) + costs.person * outcome.person + names

    # The k of each is given, so its list has all of the confidence: by as much it may be cheaper.
    each = [cost(review_plan(logits, target, target_error=0.1, costs=costs, k=k)) for k in range(1, 21)]
    assert 1 < chosen.k < 20
    assert cost(chosen) <= 1.1 * min(each)
    assert cost(chosen) < each[0]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((100, 60, 3, 30, 1, 10), "60 of 100 pictures need nobody (57 of 60 were right), for 30 somebody picks from a list "
         "(29 of 30 had the name on it), and an expert must look at 10."),
        ((200, 120, 3, 0, 0, 80), "60 of 100 pictures need nobody (117 of 120 were right), and an expert must look at 40."),
        ((10, 10, 0, 0, 0, 0), "100 of 100 pictures need nobody (10 of 10 were right), and no expert is needed."),
        ((100, 0, 0, 40, 1, 60), "Of 100 pictures, for 40 somebody picks from a list (39 of 40 had the name on it), and an "
         "expert must look at 60."),
        ((9, 0, 0, 0, 0, 9), "An expert must look at each of the 9 pictures."),
    ],
)  # fmt: skip
def test_the_piles_are_one_sentence(counts, sentence):
    assert ReviewOutcome(*counts).sentence == sentence


def test_the_best_k_is_the_cheapest_by_a_loop():
    logits, target = Population(seed=9).draw(400)
    found = best_k(logits, target, costs={"wrong": 3, "name": 0.2}, most=10)
    rank = (logits > logits.gather(1, target[:, None])).sum(1)
    costs = [0.2 * k + 3 * float((rank >= k).double().mean()) for k in range(1, 11)]
    assert found.cost.tolist() == pytest.approx(costs, rel=1e-5)
    assert costs[found.k - 1] == min(costs)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target_error": 1}, "target_error must lie between 0 and 1, got 1."),
        ({"target_error": 0.0}, "target_error must lie between 0 and 1, got 0.0."),
        ({"confidence": 1.5}, "confidence must lie between 0 and 1, got 1.5."),
        ({"among": "most"}, "among must be one of 'all', 'accepted', got 'most'."),
        ({"k": 4}, "k must be at most the number of classes (3), got 4. Use a smaller k."),
        ({"costs": {"wronng": 1}}, "costs must name wrong, person and name, got 'wronng'."),
        ({"costs": {"wrong": -1}}, "wrong must be a cost of at least 0, got -1."),
    ],
)
def test_wrong_options_are_named(options, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        review_plan(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), **options)
    assert str(error.value) == sentence


def test_scores_without_a_target_or_of_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"scores must have a target for a review plan, got none\."):
        review_plan(torch.zeros(2, 3))
    plan = review_plan(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"scores must have the 3 classes that the plan was fitted on, got 4\."):
        plan.piles(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"the review plan must hold the values of ReviewPlan\.to_dict, got 'a'\."):
        ReviewPlan.from_dict({"a": 1})


@pytest.mark.parametrize("decide", [review_plan, suspect_labels, risk_coverage], ids=lambda function: function.__name__)
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_scores_of_the_other_kind_than_is_said_are_refused(decide, kind):
    logits = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
    values = logits.softmax(1) if kind == "logits" else logits
    said = "got rows of probabilities" if kind == "logits" else "scores must hold probabilities"
    with pytest.raises(ValueError, match=said):
        decide(Scores(values, logits.argmax(1), kind=kind))
