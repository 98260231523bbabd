"""Several seeds a side: what of a difference is the seed, and what the images."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from topk_lightning._checks import UserError
from topk_lightning.decisions import compare_seeds, mcnemar
from topk_lightning.decisions._seeds import difference_over_seeds, sign_flips
from topk_lightning.decisions._student import two_sided_p, two_sided_t
from topk_lightning.scores import Scores


def made(seed, strength=1.0, order=None):
    target = torch.arange(60) % 6
    values = torch.randn(60, 6, generator=torch.Generator().manual_seed(seed)) + strength * torch.eye(6)[target]
    order = torch.arange(60) if order is None else order
    return Scores(values[order], target[order], kind="logits", ids=[str(row) for row in order.tolist()])


def test_t_is_students():
    for t in (0.1, 1.0, 4.0, 30.0):  # one and two degrees of freedom have closed forms
        assert two_sided_p(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-12)
        assert two_sided_p(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-12)
    assert two_sided_t(0.05, 4) == pytest.approx(2.7764451052, abs=1e-8)


def test_one_seed_of_signs_is_mcnemar_and_more_are_all_flips():
    for won, lost in ((0, 0), (8, 2), (7, 7), (40, 23)):
        assert sign_flips([1] * won + [-1] * lost) == pytest.approx(mcnemar(won, lost), abs=1e-9)
    gains = [3, 1, -2, 0, 2, 1]
    flips = [
        abs(sum(s * g for s, g in zip(signs, gains, strict=True))) for signs in itertools.product((1, -1), repeat=6)
    ]
    seen = abs(sum(gains))
    beyond, at = (sum(flip > seen for flip in flips), sum(flip == seen for flip in flips))
    assert sign_flips(gains) == pytest.approx(((beyond + at) / 64, (beyond + at / 2) / 64))


@pytest.mark.parametrize("spread", [(0.0, 0.0, 0.5), (0.2, 0.3, 0.5), (0.0, 0.6, 0.3)])
def test_the_interval_holds_no_difference_where_there_is_none(spread):
    of_seed, of_image, rest = spread
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    held = 0
    for _ in range(200):
        scores = of_seed * normal(2, 3, 1) + normal(1, 200) + of_image * normal(2, 1, 200) + rest * normal(2, 3, 200)
        found = difference_over_seeds(scores[0] > 0, scores[1] > 0)
        held += found.low <= 0 <= found.high
        assert (found.p <= 0.05) == (not found.low <= 0 <= found.high)
    assert held / 200 >= 0.92  # 0.95 and two standard errors


def test_where_pairs_of_seeds_agree_more_seeds_say_more():
    same = torch.rand(1, 400, generator=torch.Generator().manual_seed(1)) > 0.5
    better = same | (torch.arange(400) % 20 == 0)
    found = difference_over_seeds(same.repeat(3, 1), better.repeat(3, 1), margin=0.2)
    assert found.by_seed == (found.difference,) * 3
    assert found.verdict == "equivalent"
    assert difference_over_seeds(same.repeat(3, 1), better.repeat(3, 1)).verdict == "better"


def test_images_are_found_by_name_in_each_seed():
    order = torch.randperm(60, generator=torch.Generator().manual_seed(5))
    plain = compare_seeds([made(0), made(1)], [made(2, 2.0), made(3, 2.0)], k=1)
    turned = compare_seeds([made(0), made(1, order=order)], [made(2, 2.0, order), made(3, 2.0)], k=1)
    assert torch.equal(plain.gains, turned.gains)
    assert str(plain.by_k[1]) == str(turned.by_k[1])
    assert plain.by_k[1].by_seed == tuple(pair.by_k[1].difference for pair in plain.pairs)
    assert plain.classes == turned.classes


def test_one_network_is_no_seeds():
    with pytest.raises(UserError) as error:
        compare_seeds([made(0)], [made(1)])
    assert str(error.value) == "first and second must hold at least two networks, as many on both sides, got 1 and 1."
