"""All public names for projects that import ``lightning.pytorch``, with a module and data modules of its classes.

``pytorch_lightning`` and ``lightning.pytorch`` are two packages with classes of their own, and a trainer of one refuses
the modules of the other. The module and the data modules here are the ones of ``topk_lightning`` with the other base;
checkpoints of either are read by both. Everything else (metrics, losses, callbacks, predictions, reports) is the same object.

Examples:
    >>> from topk_lightning.lightning import TopKClassifier
    >>> import lightning.pytorch
    >>> isinstance(TopKClassifier(num_classes=3), lightning.pytorch.LightningModule)
    True
"""

from __future__ import annotations

import sys
from typing import Any

import topk_lightning.data as data
from topk_lightning._checks import MissingPackageError, must
from topk_lightning.classifier import TopKClassifierBase
from topk_lightning.data import on_base

try:
    from lightning.pytorch import LightningDataModule, LightningModule
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "lightning":
        raise
    raise MissingPackageError(
        must(
            "topk_lightning.lightning",
            "be imported where the package lightning is installed",
            "an environment without it",
            'Run pip install "topk-lightning[lightning]", or import the same names from topk_lightning.',
        )
    ) from error


class TopKClassifier(TopKClassifierBase, LightningModule):
    """:class:`topk_lightning.TopKClassifier` for the trainer of ``lightning.pytorch``; the same arguments."""


# Every data module that topk_lightning.data exports, by the one definition of it.
_TWINS = {
    name: on_base(getattr(data, name), LightningDataModule, __name__)
    for name in dir(data)
    if name.endswith("DataModule")
}
globals().update(_TWINS)
# Everything else needs no other base: it is what topk_lightning exports, which is imported before this module.
_PACKAGE = sys.modules[__name__.rpartition(".")[0]]
__all__ = sorted({"TopKClassifier", *_TWINS, *_PACKAGE.__all__})


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(_PACKAGE, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
