"""Weights of samples are weighed or refused, never lost."""

from __future__ import annotations

import pytest
import torch

from topk_lightning import Scores
from topk_lightning.decisions import (
    RollUp,
    best_k,
    confident_joint,
    review_plan,
    risk_coverage,
    roll_up,
    suspect_labels,
)


@pytest.mark.parametrize(
    "ask",
    [
        lambda scores: review_plan(scores),
        lambda scores: review_plan(scores, costs={"wrong": 10, "person": 1, "name": 0.1}),
        lambda scores: risk_coverage(scores),
        lambda scores: best_k(scores, costs={"wrong": 10, "name": 0.1}),
        lambda scores: roll_up(scores, hierarchy={"a": "x", "b": "x", "c": "y"}),
        lambda scores: RollUp.at(0.5, {"a": "x", "b": "x", "c": "y"}, "abc").outcome(scores),
        lambda scores: suspect_labels(scores),
        lambda scores: confident_joint(scores),
    ],
)
def test_what_counts_all_images_alike_refuses_weights_instead_of_losing_them(ask):
    logits, target = torch.eye(3).repeat(30, 1), torch.arange(3).repeat(30)
    ask(Scores(logits, target, kind="logits", class_names=list("abc")))
    weighed = Scores(logits, target, kind="logits", class_names=list("abc"), sample_weight=torch.ones(90))
    with pytest.raises(ValueError, match=r"must count all images alike for .*, got weights of samples"):
        ask(weighed)
