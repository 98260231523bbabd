"""TopKCrossEntropyLoss at the ends of its range: two classes, every class but one, a hundred thousand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import oracles_relaxed as oracles
from topk_lightning.losses import TopKCrossEntropyLoss, topk_cross_entropy_loss

DISTANCES = ("softsort", "neuralsort")


def batch(rows: int, classes: int, seed: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    return logits, torch.randint(classes, (rows,), generator=generator)


def assert_matches_oracle(logits: Tensor, target: Tensor, probabilities: tuple[float, ...], relaxation: str) -> None:
    options = {"k_probabilities": probabilities, "temperature": 0.7, "num_candidates": None, "relaxation": relaxation}
    leaf = logits.clone().requires_grad_()
    found = TopKCrossEntropyLoss(**options, reduction="none")(leaf, target)
    expected = [
        oracles.topk_cross_entropy(s, y, **options) for s, y in zip(logits.tolist(), target.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-11, rtol=1e-10)
    assert torch.autograd.grad(found.sum(), leaf)[0].isfinite().all()


@pytest.mark.parametrize("relaxation", DISTANCES)
@pytest.mark.parametrize("probabilities", [(1.0,), (0.25, 0.75), (0.0, 1.0)])
def test_two_classes(relaxation, probabilities):
    assert_matches_oracle(*batch(4, 2), probabilities, relaxation)


@pytest.mark.parametrize("relaxation", DISTANCES)
@pytest.mark.parametrize("k", [5, 6])
def test_every_class_but_one_and_every_class(relaxation, k):
    assert_matches_oracle(*batch(3, 6), (0.0,) * (k - 1) + (1.0,), relaxation)
    assert_matches_oracle(*batch(3, 6), (1 / k,) * k, relaxation)


def chances(scores: np.ndarray, y: int, k: int, temperature: float, relaxation: str) -> np.ndarray:
    """Return Σ_r≤k of the chance of class y to stand at rank r, for each k, row by row in float64."""
    if relaxation == "softsort":
        best = np.sort(scores)[::-1][:k]
        exponents = [-np.abs(place - scores) / temperature for place in best]
    else:
        # Σ_j |s_c − s_j|, a thousand classes at a time.
        parts = np.split(scores, 100)
        distances = np.concatenate([np.abs(part[:, None] - scores).sum(1) for part in parts])
        exponents = [((len(scores) + 1 - 2 * r) * scores - distances) / temperature for r in range(1, k + 1)]
    rows = [np.exp(row[y] - row.max()) / np.exp(row - row.max()).sum() for row in exponents]
    return np.cumsum(rows)


@pytest.mark.parametrize(
    ("relaxation", "classes", "temperature"), [("softsort", 100_000, 2.0), ("neuralsort", 4_000, 2e3)]
)
def test_all_classes_of_many_are_ranked(relaxation, classes, temperature):
    logits, _ = batch(2, classes)
    ranks = logits.argsort(1, descending=True)
    target = torch.stack([ranks[0, 3], ranks[1, 40]])  # one among the five best, one not
    probabilities = (0.2,) * 5
    options = {"temperature": temperature, "num_candidates": None, "relaxation": relaxation, "reduction": "none"}
    for scores, tolerance in ((logits, 1e-9), (logits.float(), 2e-5)):
        leaf = scores.clone().requires_grad_()
        found = topk_cross_entropy_loss(leaf, target, probabilities, **options)
        for row, y in enumerate(target.tolist()):
            own = scores[row].double()
            inside = chances(own.numpy(), y, 5, temperature, relaxation)
            chance = 0.2 * (own.softmax(0)[y].item() + inside[1:].sum())
            assert found[row].item() == pytest.approx(-np.log(chance), rel=tolerance, abs=tolerance)
        slope = torch.autograd.grad(found.sum(), leaf)[0]
        assert slope.isfinite().all()
        assert (slope.gather(1, target[:, None]) < 0).all()
