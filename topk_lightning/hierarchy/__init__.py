"""Coarse classes that fine ones belong to: sums over groups, and where the groups are written down."""

from topk_lightning.hierarchy.coarsening import coarsen_logits, coarsen_target
from topk_lightning.hierarchy.hierarchy import Hierarchy

__all__ = ["Hierarchy", "coarsen_logits", "coarsen_target"]
