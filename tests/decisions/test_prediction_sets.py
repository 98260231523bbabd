"""Prediction sets: the definition by loops, the promise, and what becomes of broken rows, empty sets and few images."""

from __future__ import annotations

import io
import json
import math
from fractions import Fraction

import pytest
import torch

from tests import oracles_sets
from tests.decisions.populations import long_tail, population
from topk_lightning.decisions import PredictionSets, _conformal_scores
from topk_lightning.decisions._quantile import conformal_quantile, fewest_images, quantile_index

METHODS = ("lac", "aps", "raps", "rank")
each_method = pytest.mark.parametrize("method", METHODS)


def covered(sets, logits, target, **options):
    return sets.mask(logits, **options).gather(1, target.unsqueeze(1)).squeeze(1)


@each_method
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_sets_are_those_of_the_definition(method, coverage):
    logits, target = population(60, 9)
    logits[::4, :3] = logits[::4, 3:6]  # ties, which stand in the order of the index
    sets = PredictionSets(method, coverage, penalty=0.03, k=2, allow_empty=True).fit(logits[:39], target[:39])
    options = {"penalty": 0.03, "k": 2}
    own = [
        oracles_sets.class_scores(row, method, **options)[y]
        for row, y in zip(logits[:39].tolist(), target[:39].tolist(), strict=True)
    ]
    cut = oracles_sets.threshold(own, Fraction(str(coverage)))
    assert sets.thresholds.common == pytest.approx(cut, rel=1e-12)
    nudged = cut * (1 + 1e-12)  # the loops round otherwise
    for row, mask in zip(logits[39:].tolist(), sets.mask(logits[39:]), strict=True):
        assert set(mask.nonzero().flatten().tolist()) == oracles_sets.prediction_set(row, method, nudged, **options)


@pytest.mark.parametrize("method", ["aps", "raps"])
def test_randomised_sets_take_off_u_times_the_own_mass(method):
    logits, target = population(80, 12, spread=6.0)
    sets = PredictionSets(method, 0.5, penalty=0.05, k=1, randomised=True, allow_empty=True)
    sets.fit(logits[:50], target[:50], generator=torch.Generator().manual_seed(3))
    draws = torch.rand(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64).tolist()
    options = {"penalty": 0.05, "k": 1}
    own = [
        oracles_sets.class_scores(row, method, uniform=u, **options)[y]
        for row, y, u in zip(logits[:50].tolist(), target[:50].tolist(), draws, strict=True)
    ]
    cut = oracles_sets.threshold(own, Fraction("0.5"))
    mask = sets.mask(logits[50:], generator=torch.Generator().manual_seed(4))
    draws = torch.rand(30, generator=torch.Generator().manual_seed(4), dtype=torch.float64).tolist()
    for row, shown, u in zip(logits[50:].tolist(), mask, draws, strict=True):
        expected = oracles_sets.prediction_set(row, method, cut * (1 + 1e-12), uniform=u, **options)
        assert set(shown.nonzero().flatten().tolist()) == expected
    assert (mask.sum(1) == 0).any()


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_of_a_hundred_images_each_left_out_once_exactly_the_promise_is_covered(method, coverage):
    logits, target = population(100, 30, seed=1)
    hits = 0
    for left in range(100):
        rest = torch.arange(100) != left
        sets = PredictionSets(method, coverage, allow_empty=True).fit(logits[rest], target[rest])
        hits += int(covered(sets, logits[left : left + 1], target[left : left + 1]))
    assert hits == round(100 * coverage)


@each_method
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_over_a_thousand_splits_coverage_is_the_promise(method, coverage):
    pool, labels = population(462, 20, seed=2)
    generator, total, images = torch.Generator().manual_seed(0), 0.0, 231
    for _ in range(1000):
        order = torch.randperm(462, generator=generator)
        fit, test = order[:images], order[images:]
        sets = PredictionSets(method, coverage).fit(pool[fit], labels[fit])
        total += float(covered(sets, pool[test], labels[test]).double().mean()) / 1000
    promise = quantile_index(images, coverage) / (images + 1)
    assert total >= promise - 0.005  # four standard errors of the mean
    if method != "rank":  # whole numbers of names overshoot
        assert total <= promise + 0.005


def test_where_the_first_guess_is_right_more_often_than_promised_coverage_is_not_below():
    pool, labels = population(400, 10, seed=3, spread=14.0)
    assert (pool.argmax(1) == labels).double().mean() > 0.85
    sets = PredictionSets("lac", 0.8).fit(pool[:200], labels[:200])
    assert covered(sets, pool[200:], labels[200:]).double().mean() > 0.85
    assert (sets.mask(pool[200:]).sum(1) >= 1).all()
    empty = PredictionSets("lac", 0.8, allow_empty=True).fit(pool[:200], labels[:200]).mask(pool[200:])
    first = torch.nn.functional.one_hot(pool[200:].argmax(1), 10).bool()
    assert torch.equal(sets.mask(pool[200:]), torch.where(empty.any(1, keepdim=True), empty, first))
    assert not empty.any(1).all()


def test_the_threshold_is_the_right_one_for_each_coverage_and_number_of_images():
    for percent in range(1, 100):
        for images in (*range(1, 60), 74, 999, 19_999):
            exact = oracles_sets.exact_index(images, Fraction(percent, 100))
            assert quantile_index(images, percent / 100) == exact
        least = next(n for n in range(1, 1000) if oracles_sets.exact_index(n, Fraction(percent, 100)) <= n)
        assert fewest_images(percent / 100) == least


@pytest.mark.parametrize(("coverage", "least"), [(0.8, 4), (0.9, 9), (0.95, 19)])
def test_with_fewer_images_all_names_are_shown_and_a_sentence_says_so(coverage, least):
    logits, target = population(30, 7)
    wanted = f"scores must hold at least {least} images for a coverage of {coverage:g}, got {least - 1}. All names are shown."
    for method in METHODS:
        with pytest.warns(UserWarning, match="All names") as told:
            sets = PredictionSets(method, coverage).fit(logits[: least - 1], target[: least - 1])
        assert [str(warning.message) for warning in told] == [wanted]
        assert sets.mask(logits).all()
        assert PredictionSets("rank", coverage).fit(logits[:least], target[:least]).thresholds.common < math.inf


@each_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_image_has_the_same_score_at_fit_and_at_use(method, dtype, monkeypatch):
    logits, target = population(300, 50, spread=8.0)
    logits = logits.to(dtype)
    for uniform in (None, torch.rand(300, dtype=torch.float64)) if method in ("aps", "raps") else (None,):
        rule = PredictionSets(method, 0.9, temperature=1.7, randomised=uniform is not None).options.rule(None)
        at_fit = rule.of_targets(logits, logits, target, uniform)
        at_use = rule.of_classes(logits, logits, uniform).gather(1, target.unsqueeze(1)).squeeze(1)
        assert torch.equal(at_fit, at_use)
    sets = PredictionSets(method, 0.9).fit(logits, target)
    whole = sets.mask(logits)
    monkeypatch.setattr(_conformal_scores, "_BLOCK", 70)
    assert torch.equal(PredictionSets(method, 0.9).fit(logits, target).fitted.scores, sets.fitted.scores)
    assert torch.equal(sets.mask(logits), whole)


def test_a_set_is_no_larger_for_the_rounding_of_probabilities_near_one_and_zero():
    # 1 − p of the right class rounds to 1 in float32, which would let in every class of less.
    logits = torch.linspace(0, -60, 300).repeat(9, 1)
    sets = PredictionSets("lac", 0.9).fit(logits, torch.full((9,), 86))
    assert sets.mask(logits[:1]).sum() == 87
    assert ((1 - logits[0].softmax(0)) <= 1 - logits[0].softmax(0)[86]).sum() > 87


@each_method
def test_a_row_with_nan_is_never_covered_at_fit_and_gets_no_names_at_use(method):
    logits, target = population(40, 6)
    broken = logits.clone()
    broken[3, target[3]], broken[5, (target[5] + 1) % 6], broken[7] = math.nan, math.nan, -math.inf
    broken[9, 2] = math.inf
    lost = torch.tensor([3, 5, 7, 9])
    sets = PredictionSets(method, 0.8).fit(broken, target)
    kept = torch.ones(40, dtype=torch.bool).index_fill(0, lost, False)
    alone = PredictionSets(method, 0.8).fit(logits[kept], target[kept]).fitted.scores
    assert sets.fitted.scores.tolist() == [*alone.tolist(), *[math.inf] * 4]
    mask = sets.mask(broken)
    assert not mask[lost].any()
    assert torch.equal(mask[kept], sets.mask(logits[kept]))
    assert sets.predict(broken)[3] == ()
    everything = sets.at(0.99).mask(broken)
    assert everything[kept].all()
    assert not everything[lost].any()


def test_a_masked_class_is_shown_only_where_all_are():
    logits, target = population(40, 6)
    logits[:, 2], target = -math.inf, torch.where(target == 2, 0, target)
    for method in ("lac", "aps"):
        assert not PredictionSets(method, 0.5).fit(logits, target).mask(logits)[:, 2].any()


def test_by_class_each_class_is_covered_and_classes_of_few_images_share_the_common_threshold():
    logits, target = long_tail(6000, 30)
    fit, test = slice(0, 3000), slice(3000, None)
    names = [f"class {index}" for index in range(30)]
    few = (target == 29) & (torch.arange(6000) < 3000)
    kept = ~few | (few.cumsum(0) <= 8)
    logits, target = logits[kept], target[kept]
    fit, test = slice(0, int(kept[:3000].sum())), slice(int(kept[:3000].sum()), None)
    common = PredictionSets("lac", 0.9).fit(logits[fit], target[fit])
    each = PredictionSets("lac", 0.9, by="class").fit(logits[fit], target[fit], class_names=names)
    assert each.too_few == ["class 29"]
    assert float(each.thresholds.by_key[29]) == common.thresholds.common

    def worst(sets):
        hits = covered(sets, logits[test], target[test]).double()
        return min(float(hits[target[test] == label].mean()) for label in range(20))

    assert worst(common) < 0.75 < 0.8 < worst(each)
    for label in range(29):
        own = target[fit] == label
        alone = PredictionSets("lac", 0.9).fit(logits[fit][own], target[fit][own])
        assert float(each.thresholds.by_key[label]) == alone.thresholds.common


def test_groups_of_classes_have_one_threshold_each():
    logits, target = population(300, 6)
    sets = PredictionSets("aps", 0.8, by=[0, 0, 0, 1, 1, 1]).fit(logits, target)
    halves = [PredictionSets("aps", 0.8).fit(logits[own], target[own]) for own in (target < 3, target >= 3)]
    assert sets.thresholds.by_key.tolist() == [half.thresholds.common for half in halves]


def test_groups_of_images_have_one_threshold_each_and_an_unseen_one_the_common():
    logits, target = population(400, 8)
    logits[200:] *= 0.3  # the second camera is unsure
    camera = ["old"] * 200 + ["new"] * 197 + ["phone"] * 3
    sets = PredictionSets("lac", 0.8, by="group").fit(logits, target, group=camera)
    assert sets.too_few == ["phone"]
    old = PredictionSets("lac", 0.8).fit(logits[:200], target[:200])
    common = PredictionSets("lac", 0.8).fit(logits, target)
    assert torch.equal(sets.mask(logits[:9], group=["old"] * 9), old.mask(logits[:9]))
    for group in ("phone", "drone"):
        assert torch.equal(sets.mask(logits[:9], group=[group] * 9), common.mask(logits[:9]))


def test_prevalence_covers_rare_classes_at_the_same_promise():
    logits, target = long_tail(20_000)
    fit, test = slice(0, 5000), slice(5000, None)

    def macro(sets):
        hits = covered(sets, logits[test], target[test]).double()
        return sum(float(hits[target[test] == label].mean()) for label in range(50)) / 50, float(hits.mean())

    plain = PredictionSets("lac", 0.9).fit(logits[fit], target[fit])
    counts = torch.bincount(target[fit], minlength=50)
    fair = PredictionSets("lac", 0.9, prevalence=counts).fit(logits[fit], target[fit])
    assert torch.equal(
        fair.mask(logits[:50]), PredictionSets(prevalence="fit").fit(logits[fit], target[fit]).mask(logits[:50])
    )
    (of_plain, micro), (of_fair, micro_too) = macro(plain), macro(fair)
    assert micro == pytest.approx(0.9, abs=0.015)
    assert micro_too == pytest.approx(0.9, abs=0.015)
    assert of_fair > of_plain + 0.05


def test_weights_of_one_change_nothing_and_likelihood_ratios_mend_a_shift():
    logits, target = population(4000, 8, seed=5)
    for coverage in (0.07, 0.14, 0.5, 0.67, 0.8, 0.9, 0.95):
        plain = PredictionSets("lac", coverage).fit(logits[:99], target[:99])
        equal = PredictionSets("lac", coverage).fit(logits[:99], target[:99], sample_weight=torch.ones(99))
        assert plain.thresholds.common == equal.thresholds.common
    hard = logits.amax(1) - logits.mean(1) < 3.5  # of which there will be four times as many
    weight = torch.where(hard, 4.0, 1.0)
    generator = torch.Generator().manual_seed(0)
    later = torch.multinomial(weight[2000:], 20_000, replacement=True, generator=generator) + 2000
    seen = [
        PredictionSets("aps", 0.8).fit(logits[:2000], target[:2000], sample_weight=w)
        for w in (None, weight[:2000] / weight[:2000].mean())
    ]
    shares = [float(covered(sets, logits[later], target[later]).double().mean()) for sets in seen]
    assert abs(shares[1] - 0.8) < 0.02


def test_of_several_right_classes_the_first_to_stand_counts():
    logits, target = population(60, 7)
    accepted = torch.nn.functional.one_hot(target, 7)
    accepted[:, 4] = 1
    rank = torch.stack([(logits > logits[:, [4]]).sum(1), (logits > logits.gather(1, target[:, None])).sum(1)])
    best = torch.where(rank[0] < rank[1], 4, target)
    expected = PredictionSets("aps", 0.8).fit(logits, best).fitted.scores
    assert torch.equal(PredictionSets("aps", 0.8).fit(logits, accepted).fitted.scores, expected)


@each_method
def test_probabilities_give_the_sets_of_their_logits(method):
    logits, target = population(200, 9)
    of_logits = PredictionSets(method, 0.8, temperature=1.3).fit(logits, target)
    p = logits.softmax(1)
    of_p = PredictionSets(method, 0.8, temperature=1.3).fit(p, target, kind="probabilities")
    assert torch.allclose(of_p.fitted.scores, of_logits.fitted.scores, atol=1e-12)
    differ = of_p.mask(p, kind="probabilities") != of_logits.mask(logits)
    assert differ.sum() <= 1  # the image at the threshold itself, in the last digit


def test_the_temperature_is_part_of_the_fit_and_of_the_probabilities():
    logits, target = population(500, 10)
    warm, plain = (PredictionSets("lac", 0.8, temperature=t).fit(logits, target) for t in (2.0, 1.0))
    halved = PredictionSets("lac", 0.8).fit(logits / 2, target)
    assert torch.equal(warm.mask(logits), halved.mask(logits / 2))
    assert not torch.equal(warm.mask(logits), plain.mask(logits))
    first = warm.predict(logits[:1])[0][0]
    assert first.probability == pytest.approx(float((logits[0] / 2).softmax(0).max()))


@pytest.mark.parametrize("by", [None, "class", "group"])
def test_a_fit_is_plain_data_that_a_checkpoint_or_json_keeps(by):
    logits, target = population(150, 8)
    logits[4] = math.nan
    group = [f"g{index % 3}" for index in range(150)] if by == "group" else None
    options = {"prevalence": "fit", "temperature": 1.5}
    sets = PredictionSets("lac", 0.8, by=by, **options).fit(logits, target, group=group, class_names=list("abcdefgh"))
    file = io.BytesIO()
    torch.save(sets.as_dict(), file)
    file.seek(0)
    of_file = PredictionSets.from_dict(torch.load(file, weights_only=True))

    def plain(value):
        if isinstance(value, torch.Tensor):
            return [None if n == math.inf else n for n in value.tolist()]
        return {key: plain(part) for key, part in value.items()} if isinstance(value, dict) else value

    of_json = PredictionSets.from_dict(json.loads(json.dumps(plain(sets.as_dict()), allow_nan=False)))
    for other in (of_file, of_json, sets.at(0.95).at(0.8)):
        assert torch.equal(other.mask(logits, group=group), sets.mask(logits, group=group))
        assert repr(other) == repr(sets) == "PredictionSets('lac', 0.8, fitted on 150 images)"
    again = PredictionSets("lac", 0.95, by=by, **options).fit(logits, target, group=group)
    assert torch.equal(sets.at(0.95).mask(logits, group=group), again.mask(logits, group=group))


def test_names_stand_best_first_with_their_probabilities():
    p = torch.tensor([[0.1, 0.6, 0.3], [0.2, 0.2, 0.6]], dtype=torch.float64)
    sets = PredictionSets("rank", 0.5).fit(p.log(), torch.tensor([2, 0]), class_names=["ant", "bee", "cat"])
    named = sets.predict(p.log())
    assert [[each.label for each in row] for row in named] == [["bee", "cat"], ["cat", "ant"]]
    assert [round(each.probability, 6) for each in named[0]] == [0.6, 0.3]
    assert [each.label for each in sets.predict(p.log(), ["x", "y", "y"])[0]] == ["y (1)", "y (2)"]


def test_zero_rows_at_use_are_no_names_for_nobody():
    logits, target = population(30, 5)
    sets = PredictionSets("aps").fit(logits, target)
    assert sets.mask(logits[:0]).shape == (0, 5)
    assert sets.predict(logits[:0]) == []


def sentences():
    logits, target = population(30, 5)
    sets = PredictionSets().fit(logits, target, class_names=list("abcde"))
    by_group = PredictionSets(by="group").fit(logits, target, group=target)
    p = logits.softmax(1)
    yield (
        lambda: PredictionSets(coverage=1),
        "coverage must lie between 0 and 1, got 1. The right name is always among all names alone.",
    )
    yield lambda: PredictionSets(coverage=90), "coverage must lie between 0 and 1, got 90. Did you mean 0.9?"
    yield lambda: PredictionSets("best"), "method must be one of 'lac', 'aps', 'raps', 'rank', got 'best'."
    yield (
        lambda: PredictionSets(randomised=True),
        'randomised must be False for a method other than "aps" and "raps", got True.',
    )
    yield (
        lambda: PredictionSets("aps", prevalence="fit"),
        'prevalence must be None for a method other than "lac", got one.',
    )
    yield (
        lambda: PredictionSets(by="vendor"),
        'by must be None, "class", "group" or the group of each class, got \'vendor\'.',
    )
    yield lambda: PredictionSets(by=[0, 1]).fit(logits, target), "by must hold the group of each of 5 classes, got 2."
    yield (
        lambda: PredictionSets().mask(logits),
        "sets must be fitted before they are used, got none that are. Call fit(scores, target) with validation images first.",
    )
    yield (
        lambda: PredictionSets().fit(p, target),
        'scores must be logits where that is said, got rows of probabilities. Say kind="probabilities".',
    )
    yield (
        lambda: sets.mask(p),
        'scores must be logits where that is said, got rows of probabilities. Say kind="probabilities".',
    )
    yield lambda: sets.mask(logits[:, :4]), "scores must have the 5 classes of the fit, got 4."
    yield lambda: sets.fit(logits[:0], target[:0]), "scores must hold at least one row, got none."
    yield (
        lambda: sets.fit(logits, p),
        "target must hold one class a row, got distributions over classes. Draw a class from each row, or pass the right classes as 0 and 1.",
    )
    yield (
        lambda: sets.fit(logits, target + 1),
        "target must hold class indices in [0, 5), got 5. Class indices start at 0.",
    )
    yield (
        lambda: sets.fit(logits, target.float()),
        "target must be of an integer dtype, got torch.float32. Did you mean target.long()?",
    )
    yield (
        lambda: sets.fit(logits[0], target),
        "scores must have shape (N, C) or (N, C, d1, …), got (5,). Did you mean scores.unsqueeze(0)?",
    )
    yield lambda: sets.fit(logits[..., None], target), "scores must have shape (N, C), a row an image, got (30, 5, 1)."
    yield lambda: by_group.mask(logits), 'group must say the group of each image where by is "group", got None.'
    yield lambda: by_group.mask(logits, group=[1]), "group must hold 30 groups, one an image, got 1."
    yield lambda: sets.mask(logits, group=target), 'group must be None where by is not "group", got groups.'
    yield (
        lambda: PredictionSets.from_dict({"coverage": 0.9}),
        "the fit must be what PredictionSets.as_dict returned, got something else.",
    )


@pytest.mark.parametrize("number", range(21))
def test_each_mistake_is_one_sentence(number):
    call, sentence = list(sentences())[number]
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


def test_a_weighted_quantile_without_enough_weight_is_infinite():
    scores = torch.arange(1.0, 5.0, dtype=torch.float64)
    assert conformal_quantile(scores, 0.9, torch.ones(4)) == math.inf
    assert conformal_quantile(scores, 0.5, torch.tensor([0.0, 0.0, 5.0, 0.0])) == 3.0


def test_raps_is_the_loop_on_two_hundred_random_cases():
    for case in range(200):
        generator = torch.Generator().manual_seed(case)
        classes, images = (int(torch.randint(low, high, (), generator=generator)) for low, high in ((2, 21), (9, 25)))
        logits = 2 * torch.randn(images + 3, classes, generator=generator, dtype=torch.float64)
        target = torch.randint(0, classes, (images + 3,), generator=generator)
        options = {"penalty": float(torch.rand((), generator=generator)) / 10, "k": case % 5}
        sets = PredictionSets("raps", 0.8, allow_empty=True, **options).fit(logits[:images], target[:images])
        own = [
            oracles_sets.class_scores(row, "raps", **options)[label]
            for row, label in zip(logits[:images].tolist(), target[:images].tolist(), strict=True)
        ]
        nudged = oracles_sets.threshold(own, Fraction(4, 5)) * (1 + 1e-12) + 1e-15
        for row, mask in zip(logits[images:].tolist(), sets.mask(logits[images:]), strict=True):
            expected = oracles_sets.prediction_set(row, "raps", nudged, **options)
            assert set(mask.nonzero().flatten().tolist()) == expected, case
