"""Exact top-k metrics and the annealings for fastai's Learner; every loss of the library is a `loss_func` as it is.

The names are those of the library itself, with fastai's base classes.
"""

from __future__ import annotations

from topk_lightning._checks.fastai import missing_fastai

try:
    import fastai.learner  # noqa: F401
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "fastai":
        raise
    raise missing_fastai() from error

from topk_lightning.integrations.fastai.k_annealing import KAnnealing
from topk_lightning.integrations.fastai.metrics import MultilabelTopKAccuracy, TopKAccuracy
from topk_lightning.integrations.fastai.temperature_annealing import TemperatureAnnealing

__all__ = ["KAnnealing", "MultilabelTopKAccuracy", "TemperatureAnnealing", "TopKAccuracy"]
