"""Exact top-k metrics and the annealings for fastai's Learner; every loss of the library is a `loss_func` as it is.

The names are those of the library itself, with fastai's base classes.
"""

from __future__ import annotations

from topk_lightning._checks import MissingPackageError, must

try:
    import fastai.learner  # noqa: F401
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "fastai":
        raise
    wanted, remedy = "be imported where the package fastai is installed", 'pip install "topk-lightning[fastai]".'
    raise MissingPackageError(
        must(__name__, wanted, "an environment without it", f"Install it with: {remedy}")
    ) from error

from topk_lightning.integrations.fastai.k_annealing import KAnnealing
from topk_lightning.integrations.fastai.metrics import MultilabelTopKAccuracy, TopKAccuracy
from topk_lightning.integrations.fastai.temperature_annealing import TemperatureAnnealing

__all__ = ["KAnnealing", "MultilabelTopKAccuracy", "TemperatureAnnealing", "TopKAccuracy"]
