"""The records of the losses that are made of relaxations."""

from __future__ import annotations

from tests import oracles_relaxed as oracles
from tests.losses.cases import LossCase
from topk_lightning.losses import SoftTopKLoss, TopKCrossEntropyLoss, soft_topk_loss, topk_cross_entropy_loss

__all__ = ["CASES"]

CASES = [
    *(
        LossCase(
            f"soft top-k, {membership}",
            SoftTopKLoss,
            soft_topk_loss,
            oracles.soft_topk,
            {"k": 3, "temperature": 0.7, "membership": membership},
            lacks=frozenset({"second derivative"}),
        )
        for membership in ("logistic", "laplace")
    ),
    *(
        LossCase(
            f"top-k cross entropy, {relaxation}, {num_candidates} candidates, {top1_mode}",
            TopKCrossEntropyLoss,
            topk_cross_entropy_loss,
            oracles.topk_cross_entropy,
            {
                "k_probabilities": (0.2, 0.5, 0.3),
                "temperature": 0.7,
                "num_candidates": num_candidates,
                "relaxation": relaxation,
                "top1_mode": top1_mode,
            },
            # SoftSort and NeuralSort have columns above 1.
            lacks=frozenset({"zero at k=C", "second derivative", "at least 0"}),
        )
        for relaxation, num_candidates, top1_mode in (
            ("softsort", 5, "sm"),
            ("softsort", None, "sm"),
            ("neuralsort", 5, "sm"),
            ("neuralsort", None, "sm"),
            ("softsort", None, "smce"),
        )
    ),
]
