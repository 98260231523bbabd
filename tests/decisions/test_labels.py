"""Suspect labels, the confident joint and pairs to merge."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from topk_lightning.decisions import confident_joint, pairs_to_merge, suspect_labels


def noisy(images, classes, share, seed=0):
    """Scores of a fair model, the true classes, and given ones of which `share` are wrong."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(classes, (images,), generator=generator)
    logits = torch.randn(images, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(images), truth] += 3
    given = truth.clone()
    wrong = torch.rand(images, generator=generator) < share
    given[wrong] = (truth[wrong] + torch.randint(1, classes, (int(wrong.sum()),), generator=generator)) % classes
    return logits, truth, given


@pytest.mark.parametrize("classes", [5, 20])
def test_the_joint_is_cleanlabs_but_for_rows_at_the_border(classes):
    count = pytest.importorskip(
        "cleanlab.count", reason="cleanlab, the reference of the confident joint, is not installed"
    )
    logits, _, given = noisy(2000, classes, 0.1)
    own = confident_joint(logits, given)
    theirs = count.compute_confident_joint(given.numpy(), logits.softmax(1).numpy(), calibrate=False)
    # They give a class that no image confidently is at least one image on the diagonal.
    assert np.abs(own.counts.numpy() - theirs).sum() <= 4
    estimate = own.estimated_errors
    calibrated = count.compute_confident_joint(given.numpy(), logits.softmax(1).numpy(), calibrate=True)
    assert abs(estimate - (calibrated.sum() - np.trace(calibrated))) <= classes


def test_the_joint_is_that_of_a_loop():
    logits, _, given = noisy(200, 4, 0.2, seed=1)
    probability, labels = logits.softmax(1).tolist(), given.tolist()
    thresholds = []
    for label in range(4):
        own = [row[label] for row, other in zip(probability, labels, strict=True) if other == label]
        thresholds.append(sum(own) / len(own))
    expected = torch.zeros(4, 4, dtype=torch.int64)
    for row, label in zip(probability, labels, strict=True):
        confident = [each for each in range(4) if row[each] >= thresholds[each] - 1e-6]
        if confident:
            expected[label, max(confident, key=lambda each: row[each])] += 1
    assert confident_joint(logits, given).counts.equal(expected)


def test_wrong_labels_come_first():
    logits, truth, given = noisy(2000, 20, 0.1)
    wrong = given != truth
    found = suspect_labels(logits, given, most=int(wrong.sum()))
    assert wrong[found.index].double().mean() >= 0.8
    assert (found.suggested == truth[found.index])[wrong[found.index]].double().mean() >= 0.8
    probability = logits.softmax(1)
    assert found.probability.tolist() == pytest.approx(probability[found.index, found.given].tolist())
    assert found.probability.equal(found.probability.sort().values)
    assert (found.suggested != found.given).all()
    assert 0.5 * wrong.sum() <= found.estimated <= 3 * wrong.sum()


def test_rows_that_are_no_numbers_accuse_nobody():
    logits = torch.tensor([[3.0, 0.0], [torch.nan, 1.0], [0.0, 3.0]])
    assert confident_joint(logits, torch.tensor([0, 0, 0])).counts.sum() <= 2
    found = suspect_labels(logits, torch.tensor([0, 0, 0]))
    assert found.index.tolist() == [2]
    assert len(suspect_labels(torch.eye(3), torch.arange(3)).index) == 0


def test_merging_counts_what_is_taken_for_the_other():
    generator = torch.Generator().manual_seed(0)
    actual = torch.randint(6, (500,), generator=generator)
    predicted = torch.where(
        torch.rand(500, generator=generator) < 0.6, actual, torch.randint(6, (500,), generator=generator)
    )
    pairs, counts = torch.stack([actual, predicted], 1).unique(dim=0, return_counts=True)
    found = pairs_to_merge(torch.cat([pairs, counts[:, None]], 1), most=3)
    assert len(found) == 3
    for pair in found:
        # The accuracy when both classes have one number.
        one = torch.arange(6)
        one[pair.second] = pair.first
        assert pair.merged == pytest.approx(float((one[actual] == one[predicted]).double().mean()))
        assert pair.accuracy == pytest.approx(float((actual == predicted).double().mean()))
    assert [pair.confused for pair in found] == sorted((pair.confused for pair in found), reverse=True)


def test_a_pair_that_is_guessed_is_said_to_be():
    coin = pairs_to_merge(torch.tensor([[0, 0, 5], [0, 1, 5], [1, 0, 5], [1, 1, 5]]))[0]
    clear = pairs_to_merge(torch.tensor([[0, 0, 50], [0, 1, 5], [1, 0, 5], [1, 1, 50]]))[0]
    assert coin.is_guessed
    assert not clear.is_guessed
    assert pairs_to_merge(torch.tensor([[0, 0, 50], [0, 1, 1]])) == []
