"""The module and the data modules for ``lightning.pytorch``, where a project imports that name.

``pytorch_lightning`` and ``lightning.pytorch`` are two packages with classes of their own, and a trainer of one refuses
the modules of the other. These classes are the ones of ``topk_lightning`` with the other base; checkpoints of either are
read by both.

Examples:
    >>> from topk_lightning.lightning import TopKClassifier
    >>> import lightning.pytorch
    >>> isinstance(TopKClassifier(num_classes=3), lightning.pytorch.LightningModule)
    True
"""

from __future__ import annotations

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
            "Install lightning, or import the same names from topk_lightning for pytorch_lightning.",
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
__all__ = sorted(["TopKClassifier", *_TWINS])


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}"
    )  # the type checker's: the twins are any class
