"""Scores of labelled images: what a network says of them, kept for every later question."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice
from topk_lightning.data import BadImageWarning, skipped_sentence
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._data_splits import read_splits
from topk_lightning.report._evaluation import Evaluator, Outside
from topk_lightning.report._labelled_images import LabelledImages
from topk_lightning.report._run_test import classes_of
from topk_lightning.report._streamed_images import StreamedImages
from topk_lightning.scores import Scores

__all__ = ["pictures_by_name", "score_images"]

_SPLITS = {"test": "test", "val": "validation", "train": "training"}


def score_images(
    model: str | Path | nn.Module | TrainedModel,
    data: Any,
    split: str = "test",
    *,
    network: nn.Module | str | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    batch_size: int = 32,
    on_bad_image: str = "skip",
    trust: Iterable[str] = (),
) -> Scores:
    """Return the logits of labelled images with their classes and names, in the dtype of the network, on the CPU.

    Of several accepted labels an image keeps the one that its scores put first.

    Args:
        model: as for :func:`topk_lightning.write_report`.
        data: as there.
        split: "test", "val" or "train", of data that has them.
        network: as there.
        class_names: as there.
        preprocessing: as there.
        batch_size: images at a time, where the data does not say.
        on_bad_image: "skip": leave images out that cannot be read, name them in ``Scores.unreadable`` and warn once; or
            "raise".
        trust: as there.

    Raises:
        ValueError: a split that the data does not have, and all that :func:`topk_lightning.write_report` refuses.

    Examples:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> images, target = torch.eye(3).view(3, 3, 1, 1), torch.tensor([0, 1, 1])
        >>> score_images(nn.Flatten(), DataLoader(TensorDataset(images, target)))
        Scores(3 × 3 logits in torch.float32, with target)
    """
    check_choice("split", split, _SPLITS)
    check_choice("on_bad_image", on_bad_image, ("skip", "raise"))
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    splits = read_splits(data, trained, batch_size=batch_size, skip_unreadable=on_bad_image == "skip")
    images = getattr(splits, _SPLITS[split])
    if images is None or not (isinstance(images, StreamedImages) or len(images)):
        raise InvalidValueError(must("data", f"have {_SPLITS[split]} images", "none"))
    names, match = classes_of(trained, splits, class_names is not None)
    outside = Outside()
    parts = [answer[:3] for answer in Evaluator(trained, len(names), match).answers(images, None, outside)]
    if not parts:
        raise InvalidValueError(must("data", "hold at least one readable image with a label", "none"))
    logits, target, indices = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    ids = _names(images, indices.tolist())
    known = trained.class_names is not None or splits.class_names is not None
    scores = Scores(logits, target, kind="logits", class_names=names if known else None, ids=ids)
    scores.unreadable = splits.unreadable(images, outside.unreadable)
    if outside.unreadable:  # of a data module's own it has warned
        warnings.warn(skipped_sentence([*map(images.name, outside.unreadable)]), BadImageWarning, stacklevel=2)
    return scores


def pictures_by_name(
    model: str | Path | nn.Module | TrainedModel, data: Any, split: str = "test"
) -> Callable[[str], Image.Image | None]:
    """Return what shows an image as people see it, by the name that :func:`score_images` gives it; None for any other name.

    Args:
        model: as for :func:`topk_lightning.write_report`.
        data: as there.
        split: "test", "val" or "train".
    """
    check_choice("split", split, _SPLITS)
    images = getattr(read_splits(data, TrainedModel.load(model)), _SPLITS[split])
    if isinstance(images, StreamedImages):
        return lambda name: None
    names = [images.name(index) for index in range(len(images))]
    numbered = {f"{index}: {name}": index for index, name in enumerate(names)}
    index_of = {**numbered, **{name: index for index, name in enumerate(names)}}

    def picture(name: str) -> Image.Image | None:
        index = index_of.get(name)
        return None if index is None else images.shown(index)

    return picture


def _names(images: LabelledImages, indices: Sequence[int]) -> list[str]:
    """Return what images are called, each differently."""
    names = [images.name(index) for index in indices]
    if len(set(names)) == len(names):
        return names
    return [f"{index}: {name}" for index, name in zip(indices, names, strict=True)]
