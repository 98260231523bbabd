"""The calibrated and the noised top-k hinge losses: their noise, their margins, what they do not feel."""

from __future__ import annotations

import copy
import math
import pickle
import re
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck

from topk_lightning.losses import (
    CalibratedTopKHingeLoss,
    NoisedTopKHingeLoss,
    calibrated_topk_hinge_loss,
    imbalanced_margins,
    noised_topk_hinge_loss,
)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(8, 20, generator=generator), torch.randint(20, (8,), generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_gives_the_same_loss_and_gradient(batch):
    logits, target = batch
    results = []
    for seed in (0, 0, 1):
        leaf = logits.clone().requires_grad_()
        loss = noised_topk_hinge_loss(leaf, target, generator=seeded(seed))
        results.append((loss, torch.autograd.grad(loss, leaf)[0]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])


def test_with_its_noise_held_fixed_the_gradient_is_the_derivative():
    logits = torch.randn(4, 8, dtype=torch.float64, generator=seeded(1)).requires_grad_()
    target = torch.tensor([0, 3, 5, 7])
    for k, margins in ((1, None), (3, torch.arange(8.0)), (7, None)):

        def loss(x: torch.Tensor, k: int = k, margins: torch.Tensor | None = margins) -> torch.Tensor:
            return noised_topk_hinge_loss(x, target, k, margins=margins, generator=seeded(), reduction="none")

        assert (loss(logits) > 0).any()
        assert gradcheck(loss, logits)


def test_twins_of_a_loss_draw_what_it_would_draw_next(batch):
    loss = NoisedTopKHingeLoss(k=3, generator=seeded())
    first = loss(*batch)
    twins = pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)
    second = loss(*batch)
    assert first != second
    for twin in twins:
        assert twin(*batch) == second


def test_a_generator_of_another_device_is_refused():
    sentence = (
        "generator must be on the device of the logits (meta), got cpu. Make it with torch.Generator(device=...)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        noised_topk_hinge_loss(
            torch.zeros(2, 8, device="meta"), torch.zeros(2, dtype=torch.long, device="meta"), 3, generator=seeded()
        )


def test_float64_margins_keep_their_digits():
    margins = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    loss = NoisedTopKHingeLoss(k=1, margins=margins).eval()
    assert loss(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([1])).item() == 2 / 3


def test_noise_is_off_in_eval_mode(batch):
    loss = NoisedTopKHingeLoss(k=3)
    assert not torch.equal(loss(*batch), loss(*batch))
    assert torch.equal(loss.eval()(*batch), calibrated_topk_hinge_loss(*batch, k=3))


def test_the_mean_over_samples_is_the_expected_noisy_score():
    # Behind a class that is always first the second is E max(a + σZ, b + σZ') = a Φ(d) + b Φ(−d) + √2 σ φ(d) with
    # d = (a − b) / (√2 σ).
    a, b, sigma = 0.4, 0.1, 0.8
    d = (a - b) / (math.sqrt(2) * sigma)
    above = 0.5 * (1 + math.erf(d / math.sqrt(2)))
    expected = a * above + b * (1 - above) + math.sqrt(2) * sigma * math.exp(-d * d / 2) / math.sqrt(2 * math.pi)
    logits = torch.tensor([[a, b, 99.0]], dtype=torch.float64).expand(4000, 3).requires_grad_()
    target = torch.zeros(4000, dtype=torch.long)
    loss = noised_topk_hinge_loss(logits, target, k=1, noise=sigma, num_samples=50, margins=torch.full((3,), 9.0),
                                  generator=seeded())  # fmt: skip
    # 200,000 draws of a standard deviation below σ.
    assert loss.item() == pytest.approx(9.0 + expected - a, abs=4 * sigma / math.sqrt(200_000))
    (slope,) = torch.autograd.grad(loss, logits)
    assert slope[:, 1].sum().item() == pytest.approx(1 - above, abs=4 * 0.5 / math.sqrt(200_000))


def test_where_k_is_close_to_c_noise_does_not_lower_the_bar():
    # The least of two noisy scores lies below both: with margin 0 the loss would be 0 among equal classes.
    logits = torch.zeros(200, 2, requires_grad=True)
    target = torch.zeros(200, dtype=torch.long)
    loss = noised_topk_hinge_loss(logits, target, k=1, noise=3.0, generator=seeded())
    loss.backward()
    assert loss.item() >= 1.0
    assert (logits.grad.sum(0) * torch.tensor([-1, 1]) > 0.4).all()


def test_noise_spreads_the_gradient_over_more_classes(batch):
    def reached(**options: float) -> int:
        leaf = batch[0].clone().requires_grad_()
        noised_topk_hinge_loss(leaf, batch[1], k=3, num_samples=20, generator=seeded(), **options).backward()
        return int((leaf.grad != 0).sum())

    assert reached(noise=0.0) <= 2 * 8
    assert reached(noise=1.0) > 4 * 8


def test_a_target_of_rank_k_plus_1_costs_the_margin_and_feels_nothing():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]], requires_grad=True)
    loss = CalibratedTopKHingeLoss(k=2, margin=1.5)(logits, torch.tensor([2]))
    loss.backward()
    assert loss.item() == 1.5
    assert torch.equal(logits.grad, torch.zeros(1, 4))


def test_margins_belong_to_the_target(batch):
    logits, target = batch
    margins = torch.arange(20.0)
    found = noised_topk_hinge_loss(logits, target, k=3, noise=0.0, margins=margins, reduction="none")
    for i, y in enumerate(target.tolist()):
        own = calibrated_topk_hinge_loss(logits[i : i + 1], target[i : i + 1], k=3, margin=float(y))
        torch.testing.assert_close(found[i], own)


def test_margins_move_with_the_module_and_come_as_a_list(batch):
    loss = NoisedTopKHingeLoss(k=3, margins=[1.0] * 20).eval()
    assert torch.equal(loss(*batch), calibrated_topk_hinge_loss(*batch, k=3))
    assert loss.to("meta").margins.device.type == "meta"


def test_imbalanced_margins_fall_with_the_fourth_root_of_the_count():
    torch.testing.assert_close(imbalanced_margins([1, 16, 81], max_margin=0.6), torch.tensor([0.6, 0.3, 0.2]))


@pytest.mark.parametrize(
    ("error", "sentence", "call"),
    [
        (
            ValueError,
            "class_counts must be at least 1 for each class, got 0. Leave out a class without training images, "
            "or count it as 1.",
            lambda: imbalanced_margins([5, 0]),
        ),
        (TypeError, "class_counts must be of an integer dtype, got torch.float32.", lambda: imbalanced_margins([0.5])),
        (ValueError, "class_counts must have shape (C,), one count a class, got ().",
         lambda: imbalanced_margins(torch.tensor(5))),
        (ValueError, "max_margin must be a finite number above 0, got 0.", lambda: imbalanced_margins([5], 0)),
        (ValueError, "noise must be a finite number of at least 0, got -1.0.", lambda: NoisedTopKHingeLoss(noise=-1.0)),
        (ValueError, "num_samples must be at least 1, got 0.", lambda: NoisedTopKHingeLoss(num_samples=0)),
        (ValueError, "margins must have shape (3,), one margin a class, got (2,).",
         lambda: NoisedTopKHingeLoss(k=1, margins=[1.0, 1.0])(torch.zeros(1, 3), torch.tensor([0]))),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(error, sentence, call):
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        call()


def test_the_file_of_the_noised_hinge_may_be_read_again():
    """As notebooks do after a change: its operation for the compiler is registered once more."""
    code = "import importlib, topk_lightning.losses.noised_topk_hinge as file; importlib.reload(file)"
    subprocess.run([sys.executable, "-c", code], check=True)
