"""Sizes of the sets of two models, fitted on one half of the images and counted on the other."""

from __future__ import annotations

import pytest
import torch

from tests.decisions.populations import population
from topk_lightning.decisions import PredictionSets, compare_scores
from topk_lightning.decisions._set_sizes import halves
from topk_lightning.scores import Scores


def test_sizes_are_those_of_sets_of_the_other_half():
    logits, target = population(200, 12)
    logits[7] = torch.nan
    weak = logits + torch.randn(200, 12, generator=torch.Generator().manual_seed(0))
    found = compare_scores(*(Scores(one, target, kind="logits") for one in (weak, logits)), coverage=0.8).sizes
    half = halves(200)
    for side, one in enumerate((weak, logits)):
        masks = torch.zeros(200, 12, dtype=torch.bool)
        for part in (0, 1):
            sets = PredictionSets("lac", 0.8).fit(one[half != part], target[half != part])
            masks[half == part] = sets.mask(one[half == part])
        assert found.mean[side] == pytest.approx(float(masks.sum(1).double().mean()))
        assert found.coverage[side] == pytest.approx(float(masks.gather(1, target[:, None]).double().mean()))
    assert found.low < found.difference < found.high
