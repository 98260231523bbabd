"""Soft twins of the order rule: soft top-k masks, soft permutations, sorting networks."""

from __future__ import annotations

from topk_lightning.relaxations.memberships import MEMBERSHIPS, Membership, clipped_line, laplace, logistic
from topk_lightning.relaxations.soft_topk_mask import soft_threshold, soft_topk_mask

__all__ = [
    "MEMBERSHIPS",
    "Membership",
    "clipped_line",
    "laplace",
    "logistic",
    "soft_threshold",
    "soft_topk_mask",
]
