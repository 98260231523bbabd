"""The test images, and what the data knows beyond them: other splits, groups of classes, duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from topk_lightning._checks import InvalidTypeError, InvalidValueError, UserError, must
from topk_lightning.data import (
    SPLITS,
    FileSamples,
    ImageDataModuleBase,
    ImageDataset,
    Leak,
    TrainingData,
    check_folder,
    class_paths,
    file_digests,
    find_class_names,
    find_images,
    find_leaks,
    left_out_sentence,
    load_image,
    split_folders,
)
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._labelled_images import LabelledImages, images_of_loader

__all__ = ["DataSplits", "read_splits"]

#: Images up to which all splits are read once more to look for near-duplicates.
MOST_COMPARED = 20_000


@dataclass(frozen=True)
class DataSplits:
    """The images of a test.

    Args:
        test: the images that are tested.
        description: what the data is, in one line.
        class_names: of the targets, in the order that the data has them; None where it does not say.
        validation: images to fit the temperature on, never the test's.
        training: images seen in training, as evaluation sees them.
        levels: groups of classes by the name of their level, from fine to coarse.
        leaks: images of one split that stand in another, or look almost like one there.
        skipped: names of images that the data module could not read.
    """

    test: LabelledImages
    description: str
    class_names: list[str] | None = None
    validation: LabelledImages | None = None
    training: LabelledImages | None = None
    levels: dict[str, Hierarchy] = field(default_factory=dict)
    leaks: Sequence[Leak] = ()
    skipped: Sequence[str] = ()


def read_splits(data: Any, model: TrainedModel, *, batch_size: int = 32, skip_unreadable: bool = True) -> DataSplits:
    """Return the images of a data module, a DataLoader, or a folder of test images, one folder a class.

    Args:
        data: as in :func:`topk_lightning.write_report`.
        model: whether the names of its classes are known, and how images are prepared for it.
        batch_size: images at a time, where the data does not say.
        skip_unreadable: leave images out that cannot be read, instead of raising.
    """
    if isinstance(data, str | Path):
        return _of_folder(Path(data), model, batch_size, skip_unreadable)
    if isinstance(data, ImageDataModuleBase):
        return _of_our_module(data, model, skip_unreadable)
    if isinstance(data, DataLoader):
        test = images_of_loader(data, model, skip_unreadable)
        return DataSplits(test, f"{len(test)} images of a {type(data.dataset).__name__}", find_class_names(data))
    if hasattr(data, "test_dataloader"):
        return _of_other_module(data, model, skip_unreadable)
    raise _unknown_data(data)


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
        skipped=data.skipped,
    )


def _of_other_module(data: Any, model: TrainedModel, skip_unreadable: bool) -> DataSplits:
    for prepare, arguments in (("prepare_data", ()), ("setup", ("test",))):
        if callable(getattr(data, prepare, None)):
            getattr(data, prepare)(*arguments)
    loader = data.test_dataloader()
    if isinstance(loader, list | tuple) and len(loader) == 1:
        loader = loader[0]
    if not isinstance(loader, DataLoader):
        raise _unknown_data(loader)
    test = images_of_loader(loader, model, skip_unreadable)
    names = find_class_names(data if getattr(data, "class_names", None) else loader)
    return DataSplits(test, f"{type(data).__name__}, {len(test)} test images", names)


def _of_folder(root: Path, model: TrainedModel, batch_size: int, skip_unreadable: bool) -> DataSplits:
    if model.class_names is None:
        remedy = "The model does not name its classes."
        raise InvalidValueError(must("class_names", "be given to read a folder of classes", None, remedy))
    preprocessing = model.known_preprocessing()
    transform, image_size = preprocessing.evaluation_transform(), preprocessing.image_size
    levels = _levels_of(model)
    left_out: Counter[str] = Counter()

    def images(folder: Path, names: list[str]) -> LabelledImages:
        paths = class_paths(folder, levels)
        images_of = {label: find_images(folder / paths[label]) for label in names if label in paths}
        for files in images_of.values():
            left_out.update(files.left_out)
        samples = [
            (f"{paths[label]}/{name}", index)
            for index, label in enumerate(names)
            if label in images_of
            for name in images_of[label].names
        ]
        labelled = FileSamples(
            folder, tuple(name for name, _ in samples), tuple(index for _, index in samples), preprocessing.load
        )
        return LabelledImages(
            ImageDataset(labelled, transform),
            lambda index: str(folder / labelled.names[index]),
            labelled.picture,
            {"batch_size": batch_size},
            skip_unreadable,
            lambda indices: file_digests([folder / labelled.names[index] for index in indices], image_size),
        )

    folders = split_folders(check_folder(root))
    if not folders:
        names = _class_names(root, levels)
        test = _not_empty(images(root, names), root)
        description = f"{len(test)} images in {root}, one folder a class"
        return DataSplits(test, _with_left_out(description, left_out, root), names)
    check_folder(folders.get("test", root / "test"))
    names = sorted({name for folder in folders.values() for name in _class_names(folder, levels)})
    splits = {split: images(folder, names) for split, folder in folders.items()}
    _not_empty(splits["test"], folders["test"])
    splits = {split: images for split, images in splits.items() if len(images)}
    sizes = ", ".join(f"{len(images)} {split}" for split, images in splits.items())
    return DataSplits(
        splits["test"],
        _with_left_out(f"{root}: one folder a class, {sizes}", left_out, root),
        names,
        splits.get("val"),
        splits.get("train"),
        leaks=_leaks({split: [images.name(index) for index in range(len(images))] for split, images in splits.items()}),
    )


def _with_left_out(description: str, left_out: Counter[str], root: Path) -> str:
    return f"{description}. {left_out_sentence(left_out, root)}" if left_out else description


def _levels_of(model: TrainedModel) -> int:
    """Return how many folders down the classes of the training lie."""
    given = TrainingData.of(model.training_data).options.get("init_args")
    levels = given.get("levels") if isinstance(given, dict) else None
    return levels if isinstance(levels, int) and 1 <= levels <= 9 else 1


def _class_names(root: Path, levels: int) -> list[str]:
    names = sorted(class_paths(root, levels))
    if not names:
        raise InvalidValueError(must("data", f"hold a folder for each class in {root}", "none"))
    return names


def _not_empty(images: LabelledImages, folder: Path) -> LabelledImages:
    if not len(images):
        raise InvalidValueError(must("data", "hold at least one test image", f"none in {folder}"))
    return images


def _leaks(files: dict[str, list[str]]) -> Sequence[Leak]:
    if sum(map(len, files.values())) > MOST_COMPARED:
        return ()
    try:
        return tuple(find_leaks({split: {name: name for name in names} for split, names in files.items()}))
    except UserError:  # of a file that cannot be read, which costs a second reading
        readable = {split: {name: name for name in names if _is_readable(name)} for split, names in files.items()}
        return tuple(find_leaks(readable))


def _is_readable(path: str) -> bool:
    try:
        load_image(path)
    except UserError:
        return False
    return True
