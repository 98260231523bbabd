"""What a checkpoint keeps of the data that its model was trained on, as plain data and a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from topk_lightning.data.base import ImageDataModuleBase
from topk_lightning.data.digests import MOST_DIGESTS, training_digests
from topk_lightning.data.options import plain_options

__all__ = ["TrainingData"]

_KEY = "training_data"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Say which data a model was trained on, and recognise its images and its classes.

    Args:
        options: class path and arguments of the data module, with its root, its split and its seed; empty where there was
            none, or one that cannot be told in plain data.
        class_names: what the data calls the classes, where that differs from the names for people; None otherwise.
        class_counts: training images of each class of the model, in its order; None where they are not known.
        digests: 64 bits of the pixels of each training image, int64 (N,), a million at most; empty where not known.
    """

    options: dict[str, Any] = field(default_factory=dict)
    class_names: list[str] | None = None
    class_counts: list[int] | None = None
    digests: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> TrainingData:
        """Return what a checkpoint keeps; nothing is known of other forms, nor of what stands in one by mistake."""
        kept = checkpoint.get(_KEY)
        kept = kept if isinstance(kept, Mapping) else {}
        options, names, digests = (kept.get(name) for name in ("options", "class_names", "digests"))
        are_texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
        known: dict[str, Any] = {} if not isinstance(options, dict) else {"options": options}
        counts = kept.get("class_counts")
        if isinstance(counts, list) and all(isinstance(count, int) for count in counts):
            known["class_counts"] = counts
        if isinstance(digests, Tensor) and digests.dtype == torch.int64 and digests.ndim == 1:
            known["digests"] = digests
        return cls(class_names=names if are_texts else None, **known)

    def after_training_on(self, data: Any) -> TrainingData:
        """Return what is to be kept once the model has been trained on a data module, too; None: on loaders alone.

        The options are those of the last training; the images of earlier ones stay known.
        """
        options = {} if data is None else plain_options(data)
        if not isinstance(data, ImageDataModuleBase):
            return replace(self, options=options)
        digests = torch.cat([self.digests, training_digests(data)]).unique(sorted=True)[:MOST_DIGESTS]  # type: ignore[no-untyped-call]
        return replace(self, options=options, digests=digests)

    def put(self, checkpoint: dict[str, Any]) -> None:
        """Keep it in a checkpoint."""
        checkpoint[_KEY] = {item.name: getattr(self, item.name) for item in fields(self)}
