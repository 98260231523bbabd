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

from topk_lightning._checks.classifier import missing_lightning
from topk_lightning.classifier import TopKClassifierBase
from topk_lightning.data.emoji import EmojiDataModuleBase
from topk_lightning.data.image_folder import ImageFolderDataModuleBase

try:
    from lightning.pytorch import LightningDataModule, LightningModule
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "lightning":
        raise
    raise missing_lightning() from error

__all__ = ["EmojiDataModule", "ImageFolderDataModule", "TopKClassifier"]


class TopKClassifier(TopKClassifierBase, LightningModule):
    """:class:`topk_lightning.TopKClassifier` for the trainer of ``lightning.pytorch``; the same arguments."""


class EmojiDataModule(EmojiDataModuleBase, LightningDataModule):
    """:class:`topk_lightning.EmojiDataModule` for the trainer of ``lightning.pytorch``; the same arguments."""


class ImageFolderDataModule(ImageFolderDataModuleBase, LightningDataModule):
    """:class:`topk_lightning.ImageFolderDataModule` for the trainer of ``lightning.pytorch``; the same arguments."""
