"""Soft twins of the order rule: soft top-k masks and soft permutations."""

from __future__ import annotations

from topk_lightning.relaxations.memberships import MEMBERSHIPS, Membership, clipped_line, laplace, logistic
from topk_lightning.relaxations.permutations import neuralsort, softsort
from topk_lightning.relaxations.registry import RELAXATIONS, Relaxation
from topk_lightning.relaxations.soft_topk_mask import soft_threshold, soft_topk_mask
from topk_lightning.relaxations.sorting_networks import bitonic_network, odd_even_network

__all__ = [
    "MEMBERSHIPS",
    "RELAXATIONS",
    "Membership",
    "Relaxation",
    "bitonic_network",
    "clipped_line",
    "laplace",
    "logistic",
    "neuralsort",
    "odd_even_network",
    "soft_threshold",
    "soft_topk_mask",
    "softsort",
]
