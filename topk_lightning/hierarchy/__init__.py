"""Coarse classes that fine ones belong to: sums over groups, where the groups are written down, coarse pretraining."""

from topk_lightning.hierarchy.coarse_pretraining import PretrainingReport, load_pretrained
from topk_lightning.hierarchy.coarsening import coarsen_logits, coarsen_target
from topk_lightning.hierarchy.hierarchy import Hierarchy

__all__ = ["Hierarchy", "PretrainingReport", "coarsen_logits", "coarsen_target", "load_pretrained"]
