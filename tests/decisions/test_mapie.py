"""Prediction sets beside MAPIE's, on random cases: where both follow one rule they show the same names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from topk_lightning.decisions import PredictionSets

pytest.importorskip("mapie", reason="MAPIE, the reference of prediction sets, is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of scikit-learn and MAPIE

CASES = 200


class Given:
    """An estimator that returns the probabilities it is given."""

    def __init__(self, classes):
        self.classes_ = np.arange(classes)
        self.is_fitted_ = True

    def fit(self, x, y):
        return self

    def predict(self, x):
        return x.argmax(1)

    def predict_proba(self, x):
        return x

    def __sklearn_is_fitted__(self):
        return True


class Draws(np.random.RandomState):
    """A random state that returns the draws it is given, in turn."""

    def __init__(self, *draws):
        super().__init__(0)
        self.draws = list(draws)

    def uniform(self, low=0.0, high=1.0, size=None):
        return self.draws.pop(0).reshape(size)


def of_mapie(method, coverage, p, target, test, draws, **params):
    from mapie.classification import SplitConformalClassifier

    classifier = SplitConformalClassifier(
        Given(p.shape[1]), coverage, method, prefit=True, random_state=Draws(*[draw.numpy() for draw in draws])
    )
    classifier.conformalize(p.numpy(), target.numpy())
    return torch.from_numpy(classifier.predict_set(test.numpy(), params or None)[1][:, :, 0]).bool()


def cases():
    for seed in range(CASES):
        generator = torch.Generator().manual_seed(seed)
        classes = int(torch.randint(3, 21, (), generator=generator))
        images = int(torch.randint(40, 90, (), generator=generator))
        percent = int(torch.randint(50, 95, (), generator=generator))
        images += (images + 1) * percent % 100 == 0  # MAPIE rounds the index of the threshold up once too often there
        spread = float(torch.rand((), generator=generator)) * 2 + 0.5
        logits = spread * torch.randn(images + 30, classes, generator=generator, dtype=torch.float64)
        target = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
        target[:classes] = torch.arange(classes)  # MAPIE wants to have seen each class
        yield logits[:images].softmax(1), target[:images], logits[images:].softmax(1), percent / 100, seed


def test_lac_with_empty_sets_is_mapies():
    for p, target, test, coverage, seed in cases():
        sets = PredictionSets("lac", coverage, allow_empty=True).fit(p, target, kind="probabilities")
        expected = of_mapie("lac", coverage, p, target, test, [])
        assert torch.equal(sets.mask(test, kind="probabilities"), expected), seed


def test_aps_is_mapies_with_draws_of_ones_and_the_last_label():
    for p, target, test, coverage, seed in cases():
        sets = PredictionSets("aps", coverage, allow_empty=True).fit(p, target, kind="probabilities")
        ones = [torch.ones(len(p), dtype=torch.float64)]
        expected = of_mapie("aps", coverage, p, target, test, ones, include_last_label=True)
        assert torch.equal(sets.mask(test, kind="probabilities"), expected), seed


def test_randomised_aps_is_mapies_with_the_same_draws():
    for p, target, test, coverage, seed in cases():
        sets = PredictionSets("aps", coverage, randomised=True, allow_empty=True)
        sets.fit(p, target, kind="probabilities", generator=torch.Generator().manual_seed(seed))
        found = sets.mask(test, kind="probabilities", generator=torch.Generator().manual_seed(seed + 1))
        draws = [
            torch.rand(rows, generator=torch.Generator().manual_seed(state), dtype=torch.float64)
            for rows, state in ((len(p), seed), (len(test), seed + 1))
        ]
        expected = of_mapie("aps", coverage, p, target, test, draws, include_last_label="randomized")
        assert torch.equal(found, expected), seed
