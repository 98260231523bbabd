"""The splits of the study, what is done to labels, and the batched training against a plain one."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("torchvision")

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "study"))

import glyphs
from methods import METHODS, Scheduled, method_named, methods_of
from noise import noisy_labels, similar_groups, tail_counts
from settings import STANDARD, Candidate, Setting, candidates
from splits import Splits, bayes_accuracy
from training import train

SYNTHETIC = Setting("synthetic", data="synthetic", train_images=300, epochs=3, batch_size=64)
EMOJI = next(setting for setting in STANDARD if setting.name == "emoji, noise .6 in groups")


def test_the_candidates_are_an_orthogonal_array():
    found = candidates(SYNTHETIC)
    assert [candidate.number for candidate in found] == list(range(16))
    rates, decays = sorted(c.learning_rate for c in found), sorted(c.decay for c in found)
    assert len(set(rates)) == len(set(decays)) == 16
    level = [(rates.index(c.learning_rate) // 4, decays.index(c.decay) // 4, c.option) for c in found]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert len({(row[one], row[other]) for row in level}) == 16  # each pair of levels once
    assert {candidate.decay for candidate in candidates(replace(SYNTHETIC, decay=1e-4))} == {1e-4}


def test_noise_draws_within_the_group_the_own_label_included():
    labels, groups = torch.arange(20).repeat(1000), torch.arange(20) // 5
    noisy = noisy_labels(labels, 0.8, groups, torch.Generator().manual_seed(0))
    assert (groups[noisy] == groups[labels]).all()
    # 0.8 · 4/5 are wrong; the standard error of a share over 20,000 labels is at most 0.0036.
    assert (noisy != labels).float().mean().item() == pytest.approx(0.64, abs=0.015)


def test_a_tail_falls_from_50_to_1():
    counts = tail_counts(156, torch.Generator().manual_seed(0))
    assert (int(counts.max()), int(counts.min()), len(counts)) == (50, 1, 156)


def test_similar_classes_share_a_group_of_five_and_the_rest_joins_the_last():
    centres = torch.arange(11) // 5 * 10.0 + torch.arange(11) % 5 * 0.1
    centres[10] = 14.0
    labels = torch.arange(11).repeat(3)
    groups = similar_groups(centres[labels].unsqueeze(1), labels)
    assert torch.bincount(groups).tolist() == [5, 6]
    assert len(set(groups[:5].tolist())) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_splits_are_redrawn_by_number_and_equal_in_size(tmp_path, number):
    splits = Splits(EMOJI, tmp_path)
    first, again, other = (
        splits.draw(number, tuning=False),
        splits.draw(number, tuning=False),
        splits.draw(2, tuning=False),
    )
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert first.images.shape == other.images.shape == (1200, 96)
    assert not torch.equal(first.images, other.images)
    assert first.class_counts.shape == first.groups.shape == (300,)
    assert splits.draw(number, tuning=True).seed != first.seed


def test_glyphs_are_split_by_font_and_tuning_fonts_are_never_tested(tmp_path, monkeypatch):
    fonts = sorted(glyphs.FONTS.glob("*.ttf"))[:20]
    if not fonts:
        pytest.skip("the fonts of Debian's fonts-aenigma are not installed")
    folder = tmp_path / "fonts"
    folder.mkdir()
    for font in fonts:
        (folder / font.name).symlink_to(font)
    monkeypatch.setattr(glyphs, "FONTS", folder)
    glyphs.load_glyphs.cache_clear()
    found = glyphs.load_glyphs(tmp_path)
    monkeypatch.setattr(glyphs, "FONTS", tmp_path / "gone")  # the cache is one file and enough
    glyphs.load_glyphs.cache_clear()
    assert torch.equal(glyphs.load_glyphs(tmp_path).images, found.images)
    assert len(glyphs.CHARACTERS) == 156
    assert max(glyphs.base_letters()) + 1 == len(set(glyphs.base_letters()))

    setting = Setting("few", train_images=200)
    font_of = {image.numpy().tobytes(): int(font) for image, font in zip(found.images, found.fonts, strict=True)}

    def fonts_of(images):
        return {font_of[(image[0] * 255).round().to(torch.uint8).numpy().tobytes()] for image in images}

    drawn = {tuning: Splits(setting, tmp_path, pixels=True).draw(0, tuning=tuning) for tuning in (True, False)}
    for split in drawn.values():
        assert len(split.images) == 200
        assert not fonts_of(split.images) & fonts_of(split.measured)
    assert not fonts_of(drawn[True].measured) & fonts_of(drawn[False].measured)


def test_a_method_has_four_values_or_none_and_each_of_them_trains():
    split = Splits(SYNTHETIC, Path()).draw(0, tuning=True)
    tail = replace(SYNTHETIC, tail=True)
    for method in (*methods_of(replace(SYNTHETIC, curricula=True), full=True), method_named(tail, "noised hinge")):
        assert len(method.values) == (4 if method.option else 1)
        for option in range(len(method.values)):
            loss = method.loss(option, split)
            if isinstance(loss, Scheduled):
                loss.follow(loss.loss, 0.95)
            logits = torch.randn(8, 100, requires_grad=True)
            loss(logits, split.labels[:8]).backward()
            assert logits.grad.isfinite().all()
            assert logits.grad.abs().sum() > 0


def plain_training(setting, split, candidate):
    """One member by torch's own layers, optimizer and schedule; the initial weights and orders of the study."""
    generator = torch.Generator().manual_seed(3000 + split.seed)
    sizes = (split.images.shape[1], 64, len(split.groups))
    network = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))
    with torch.no_grad():
        for layer in (network[0], network[2]):
            shape = (layer.in_features, layer.out_features)
            layer.weight.copy_((torch.randn(*shape, generator=generator) / shape[0] ** 0.5).T)
            layer.bias.zero_()
    weights, biases = [network[0].weight, network[2].weight], [network[0].bias, network[2].bias]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": candidate.decay}, {"params": biases, "weight_decay": 0.0}],
        lr=candidate.learning_rate,
    )
    steps = len(split.labels) // setting.batch_size
    total = setting.epochs * steps
    order = torch.Generator().manual_seed(2000 + split.seed)
    step = 0
    for _ in range(setting.epochs):
        chosen = torch.randperm(len(split.labels), generator=order)
        for batch in chosen[: steps * setting.batch_size].split(setting.batch_size):
            step += 1
            share = min(1, step / (0.05 * total)) * (1 + math.cos(math.pi * step / total)) / 2
            for group in optimizer.param_groups:
                group["lr"] = candidate.learning_rate * share
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(split.images[batch]), split.labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return network(split.measured)


def test_a_member_of_a_batch_is_trained_as_alone_by_torch():
    drawn = [Splits(SYNTHETIC, Path()).draw(number, tuning=True) for number in range(2)]
    tried = [Candidate(0, 0.02, 0.5, 0), Candidate(1, 0.005, 2.0, 0)]
    trained = train(SYNTHETIC, drawn, tried, [nn.CrossEntropyLoss()])
    for member in range(2):
        expected = plain_training(SYNTHETIC, drawn[member], tried[member])
        torch.testing.assert_close(trained.logits[member], expected, rtol=1e-3, atol=1e-3)
    by_member = train(SYNTHETIC, drawn, tried, [nn.CrossEntropyLoss(), nn.CrossEntropyLoss()])
    torch.testing.assert_close(by_member.logits[1], trained.logits[1], rtol=1e-3, atol=1e-3)


def test_a_diverged_training_counts_as_all_wrong():
    split = Splits(SYNTHETIC, Path()).draw(0, tuning=True)
    broken = replace(split, images=split.images * torch.inf)
    assert train(SYNTHETIC, [broken], [Candidate(0, 0.01, 0.1, 0)], [nn.CrossEntropyLoss()]).accuracies == [[0, 0, 0]]


def test_no_method_beats_the_known_best_of_the_synthetic_set_and_training_comes_near_it():
    setting = Setting("synthetic", data="synthetic", train_images=12000, epochs=6)
    split = Splits(setting, Path()).draw(3, tuning=False)
    candidate = Candidate(0, 0.02, 0.05, 0)
    losses = [method.loss(1, split) for method in METHODS[:3]]
    trained = train(setting, [split] * 3, [candidate] * 3, losses)
    for k, place in ((1, 0), (5, 1), (10, 2)):
        best = bayes_accuracy(3, k)
        for accuracies in trained.accuracies:
            # Four standard errors of an accuracy over 4,000 images, for the test images and for the expectation.
            assert accuracies[place] <= best + 4 * math.sqrt(best * (1 - best) / 4000 * 2)
        assert trained.accuracies[0][place] >= best - 0.07, (k, best)
