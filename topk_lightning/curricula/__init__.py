"""What follows training, without a trainer: which value belongs to which progress, and where in a module it stands.

The callbacks for Lightning's trainers and for fastai's Learner are hooks around these.
"""

from topk_lightning.curricula._k_ladder import KLadder
from topk_lightning.curricula._module_attribute import ModuleAttribute, annealed_twice, check_attribute, warn_of_units
from topk_lightning.curricula._progress import Curriculum, progress_at
from topk_lightning.curricula._schedule import check_schedule
from topk_lightning.curricula._temperature_curve import TemperatureCurve

__all__ = [
    "Curriculum",
    "KLadder",
    "ModuleAttribute",
    "TemperatureCurve",
    "annealed_twice",
    "check_attribute",
    "check_schedule",
    "progress_at",
    "warn_of_units",
]
