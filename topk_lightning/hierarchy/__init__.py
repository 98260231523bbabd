"""Coarse classes that fine ones belong to: sums over groups, where the groups are written down, coarse pretraining."""

from topk_lightning.hierarchy._coarse_pretraining import PretrainingReport, load_pretrained
from topk_lightning.hierarchy._coarsening import coarsen_logits, coarsen_target
from topk_lightning.hierarchy._groups import check_same_number
from topk_lightning.hierarchy._hierarchy import Hierarchy
from topk_lightning.hierarchy._levels import check_nested, read_levels

__all__ = [
    "Hierarchy",
    "PretrainingReport",
    "check_nested",
    "check_same_number",
    "coarsen_logits",
    "coarsen_target",
    "load_pretrained",
    "read_levels",
]
