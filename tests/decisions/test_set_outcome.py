"""The promise beside a test, sets of k names on average, and sets kept in a checkpoint."""

from __future__ import annotations

import math

import pytest
import torch

from tests.decisions.populations import population
from topk_lightning.decisions import PredictionSets, SetMeter, average_k_accuracy, coverage_band, measure_sets
from topk_lightning.scores import Scores


@pytest.mark.parametrize(("fit", "test", "coverage"), [(19, 5, 0.9), (30, 12, 0.8), (9, 20, 0.5)])
def test_the_band_holds_the_beta_binomial(fit, test, coverage):
    k = math.ceil(round((fit + 1) * coverage, 9))
    # Of fit + test exchangeable scores, the x-th test score below the k-th of the fit: counted by orders.
    ways = [math.comb(k - 1 + x, x) * math.comb(fit - k + test - x, test - x) for x in range(test + 1)]
    assert sum(ways) == math.comb(fit + test, test)
    reached = [sum(ways[: x + 1]) / sum(ways) for x in range(test + 1)]
    low = next(x for x in range(test + 1) if reached[x] >= 0.025 - 1e-12)
    high = next(x for x in range(test + 1) if reached[x] >= 0.975 - 1e-12)
    assert coverage_band(fit, coverage, test) == (low / test, high / test)


def test_images_of_another_kind_are_warned_of_and_like_ones_are_not():
    logits, target = population(3000, 10)
    sets = PredictionSets("aps", 0.9).fit(logits[:1000], target[:1000])
    alike = measure_sets(sets, logits[1000:], target[1000:])
    assert alike.is_kept
    assert alike.warning == ""
    worse = measure_sets(sets, logits[1000:] * 3, target[1000:])
    assert worse.warning.startswith("90 % were promised and ")
    assert worse.warning.endswith(
        "so the sets hold no guarantee for them: they promise too much here. Fit them on images like those to come."
    )
    better = measure_sets(sets, logits[1000:] * 0.3, target[1000:])
    assert "they show more names than they need to" in better.warning


def test_more_than_promised_is_no_fault_of_whole_numbers_of_names_or_of_filled_sets():
    logits, target = population(2000, 10, spread=14.0)
    for method in ("rank", "lac"):
        outcome = measure_sets(PredictionSets(method, 0.6).fit(logits[:1000], target[:1000]), logits, target)
        assert outcome.summary.coverage > outcome.band[1]
        assert outcome.is_kept
    assert outcome.filled > 0


def test_the_sentence_says_how_many_names():
    logits, target = population(400, 30)
    outcome = measure_sets(PredictionSets("rank", 0.9).fit(logits, target), logits, target)
    names = int(outcome.summary.mean_size)
    share = 100 if names <= 5 else 0
    assert outcome.sentence == (
        f"To have the right name among them 90 of 100 times, show {names} names on average; at most 5 for {share} % of pictures."
    )


def test_batches_stored_scores_and_tensors_come_to_the_same():
    logits, target = population(300, 8)
    logits[7] = math.nan
    sets = PredictionSets("raps", 0.8).fit(logits, target)
    whole = measure_sets(sets, logits, target)
    stored = measure_sets(sets, Scores(logits, target, kind="logits"))
    meter = SetMeter(sets)
    for part in torch.arange(300).split(70):
        meter.update(logits[part], target[part])
    assert str(whole) == str(stored) == str(meter.outcome())
    assert whole.summary.empty == 1 / 300


def test_average_k_shows_k_names_on_average_more_where_the_network_is_unsure():
    logits, target = population(500, 12)
    p = logits.softmax(1)
    for k in (1, 2.5, 4):
        summary = average_k_accuracy(logits, target, k)
        cut = sorted(p.flatten().tolist(), reverse=True)[round(500 * k) - 1]
        assert summary.mean_size == pytest.approx(k)
        assert summary.coverage == float((p.gather(1, target[:, None]) >= cut).double().mean())
    assert average_k_accuracy(logits, target, 4).coverage > float(
        ((logits > logits.gather(1, target[:, None])).sum(1) < 4).double().mean()
    )
    elsewhere = average_k_accuracy(logits[:100], target[:100], 3, threshold_from=logits[100:])
    assert elsewhere.mean_size == pytest.approx(3, abs=0.5)
    with pytest.raises(ValueError, match="k must lie below the number of classes"):
        average_k_accuracy(logits, target, 12)
