"""The test images, and what the data knows beyond them: other splits, groups of classes, duplicates."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning.data import (
    SPLITS,
    ImageDataModuleBase,
    Leak,
    find_class_names,
    find_leaks,
)
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._folder_splits import splits_of_folder
from topk_lightning.report._labelled_images import LabelledImages, images_of_loader
from topk_lightning.report._splits import MOST_COMPARED, DataSplits
from topk_lightning.report._streamed_images import is_stream, streamed_images

__all__ = ["read_splits"]


def read_splits(data: Any, model: TrainedModel, *, batch_size: int = 32, skip_unreadable: bool = True) -> DataSplits:
    """Return the images of a data module, a DataLoader, a stream, a folder of test images, one folder a class, or a csv table.

    Args:
        data: as in :func:`topk_lightning.write_report`.
        model: whether the names of its classes are known, and how images are prepared for it.
        batch_size: images at a time, where the data does not say.
        skip_unreadable: leave images out that cannot be read, instead of raising.
    """
    if isinstance(data, str | Path):
        return splits_of_folder(Path(data), model, batch_size, skip_unreadable)
    if isinstance(data, ImageDataModuleBase):
        return _of_our_module(data, model, skip_unreadable)
    if is_stream(data):
        return _of_stream(data, f"a stream: {type(data).__name__}")
    if isinstance(data, DataLoader):
        test = images_of_loader(data, model, skip_unreadable)
        return DataSplits(test, f"{len(test)} images of a {type(data.dataset).__name__}", find_class_names(data))
    if hasattr(data, "test_dataloader"):
        return _of_other_module(data, model, skip_unreadable)
    raise _unknown_data(data)


def _of_stream(loader: Any, description: str) -> DataSplits:
    dataset = getattr(loader, "dataset", None)
    of = "" if dataset is None else f" of a {type(dataset).__name__}"
    return DataSplits(streamed_images(loader), f"{description}{of}", find_class_names(loader))


def _unknown_data(data: object) -> InvalidTypeError:
    wanted = "be a data module with one test DataLoader, a DataLoader, or a folder of test images"
    return InvalidTypeError(must("data", wanted, type(data).__name__))


def _of_our_module(data: ImageDataModuleBase, model: TrainedModel, skip_unreadable: bool) -> DataSplits:
    description = str(data.describe())
    if model.preprocessing is not None and model.preprocessing != data.preprocessing:
        remedy = "Give the data module the image_size, resize and statistics of the training."
        wanted = f"prepare images as the model was trained ({model.preprocessing})"
        raise InvalidValueError(must("data", wanted, data.preprocessing, remedy))
    vendors = getattr(data, "vendors", None)
    if vendors is not None:
        split = "; ".join(f"{name}: {', '.join(of_split)}" for name, of_split in vendors.items())
        description = f"Embedded emoji, {description}; drawn by {split}"
    root = getattr(data, "root", None)
    if root is not None:
        description = f"{root}: {description}"

    def images(split: str) -> LabelledImages:
        options = {"batch_size": data.batch_size, "num_workers": data.worker_count()}
        names = data.sample_names(split)
        return LabelledImages(
            data.evaluation_dataset(split),
            names.__getitem__,
            lambda index: data.pictures(split, [index])[0],
            options,
            skip_unreadable,
            lambda indices: data.digests(split)[list(indices)],
        )

    groups, group_names = getattr(data, "fine_to_coarse", {}), getattr(data, "coarse_names", {})
    levels = {
        level: Hierarchy(tuple(of_class), tuple(group_names[level]), tuple(data.class_names))
        for level, of_class in groups.items()
    }
    leaks: Iterable[Leak] = (Leak(group, 0, exact=True) for group in data.duplicates)
    if sum(len(data.targets(split)) for split in SPLITS) <= MOST_COMPARED:
        leaks = find_leaks(data)
    return DataSplits(
        images("test"),
        description,
        data.class_names,
        images("val"),
        images("train"),
        levels,
        tuple(leaks),
        skipped=data.unreadable,
    )


def _of_other_module(data: Any, model: TrainedModel, skip_unreadable: bool) -> DataSplits:
    for prepare, arguments in (("prepare_data", ()), ("setup", ("test",))):
        if callable(getattr(data, prepare, None)):
            getattr(data, prepare)(*arguments)
    loader = data.test_dataloader()
    if isinstance(loader, list | tuple) and len(loader) == 1:
        loader = loader[0]
    if is_stream(loader):
        return _of_stream(loader, f"{type(data).__name__}, a stream: {type(loader).__name__}")
    if not isinstance(loader, DataLoader):
        raise _unknown_data(loader)
    test = images_of_loader(loader, model, skip_unreadable)
    names = find_class_names(data if getattr(data, "class_names", None) else loader)
    return DataSplits(test, f"{type(data).__name__}, {len(test)} test images", names)
