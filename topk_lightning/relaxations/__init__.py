"""Soft twins of the order rule: soft top-k masks and soft permutations."""

from __future__ import annotations

from topk_lightning.relaxations.memberships import (
    MEMBERSHIPS,
    Membership,
    check_membership,
    clipped_line,
    laplace,
    logistic,
)
from topk_lightning.relaxations.permutations import neuralsort, softsort
from topk_lightning.relaxations.registry import RELAXATIONS, Relaxation
from topk_lightning.relaxations.soft_topk_mask import soft_threshold, soft_topk_mask

__all__ = [
    "MEMBERSHIPS",
    "RELAXATIONS",
    "Membership",
    "Relaxation",
    "check_membership",
    "clipped_line",
    "laplace",
    "logistic",
    "neuralsort",
    "soft_threshold",
    "soft_topk_mask",
    "softsort",
]
