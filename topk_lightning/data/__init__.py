"""Data modules: the embedded emoji, and your own folder of images."""

from __future__ import annotations

from topk_lightning._checks.data import BadImageWarning, LeakageWarning, UnreadableImageError
from topk_lightning.data.emoji import EmojiDataModule
from topk_lightning.data.exact_sampler import ExactDistributedSampler, equal_batch_size
from topk_lightning.data.image_folder import ImageFolderDataModule
from topk_lightning.data.images import load_image
from topk_lightning.data.leakage import Leak, Leaks, find_leaks
from topk_lightning.data.perceptual_hash import perceptual_hash
from topk_lightning.data.preprocessing import Preprocessing
from topk_lightning.data.summary import DataSummary

__all__ = [
    "BadImageWarning",
    "DataSummary",
    "EmojiDataModule",
    "ExactDistributedSampler",
    "ImageFolderDataModule",
    "Leak",
    "LeakageWarning",
    "Leaks",
    "Preprocessing",
    "UnreadableImageError",
    "equal_batch_size",
    "find_leaks",
    "load_image",
    "perceptual_hash",
]
