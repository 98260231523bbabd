"""What a report is about: the test images, and what the data knows beyond them (other splits, groups, duplicates)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from topk_lightning._checks.prediction import missing_preprocessing
from topk_lightning._checks.report import (
    check_class_folders,
    check_same_preparation,
    check_test_size,
    missing_names,
    unknown_data,
)
from topk_lightning.data import (
    SPLITS,
    FileSamples,
    ImageDataModuleBase,
    ImageDataset,
    Leak,
    check_folder,
    find_images,
    find_leaks,
    split_folders,
)
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.prediction import TrainedModel
from topk_lightning.report.labelled_images import LabelledImages, images_of_loader

__all__ = ["ReportData", "read_data"]

#: Images up to which all splits are read once more to look for near-duplicates.
MOST_COMPARED = 20_000


@dataclass(frozen=True)
class ReportData:
    """The images of a report.

    Args:
        test: the images that the report is about.
        description: what the data is, in one line.
        class_names: as the data numbers them; None where it does not say.
        validation: images to fit the temperature on, never the test's.
        training: images seen in training, as evaluation sees them.
        levels: groups of classes by the name of their level, from fine to coarse.
        leaks: images of one split that stand in another, or look almost like one there.
    """

    test: LabelledImages
    description: str
    class_names: list[str] | None = None
    validation: LabelledImages | None = None
    training: LabelledImages | None = None
    levels: dict[str, Hierarchy] = field(default_factory=dict)
    leaks: Sequence[Leak] = ()


def read_data(data: Any, model: TrainedModel, batch_size: int) -> ReportData:
    """Return the images of a data module, a DataLoader, or a folder of test images, one folder a class.

    Args:
        data: as in :func:`topk_lightning.write_report`.
        model: what its classes are called, and how images are prepared for it.
        batch_size: images at a time, where the data does not say.
    """
    if isinstance(data, str | Path):
        return _of_folder(Path(data), model, batch_size)
    if isinstance(data, ImageDataModuleBase):
        return _of_our_module(data, model)
    if isinstance(data, DataLoader):
        test = images_of_loader(data, model)
        names = getattr(data.dataset, "classes", None)
        named = [str(name) for name in names] if isinstance(names, list | tuple) else None
        return ReportData(test, f"{len(test)} images of a {type(data.dataset).__name__}", named)
    if hasattr(data, "test_dataloader"):
        return _of_other_module(data, model)
    raise unknown_data(data)


def _of_our_module(data: ImageDataModuleBase, model: TrainedModel) -> ReportData:
    description = str(data.describe())
    check_same_preparation(model.preprocessing, data.preprocessing)
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
            data.evaluation_dataset(split), names.__getitem__, lambda index: data.pictures(split, [index])[0], options
        )

    groups, group_names = getattr(data, "fine_to_coarse", {}), getattr(data, "coarse_names", {})
    levels = {
        level: Hierarchy(tuple(of_class), tuple(group_names[level]), tuple(data.class_names))
        for level, of_class in groups.items()
    }
    leaks: Iterable[Leak] = (Leak(group, 0, exact=True) for group in data.duplicates)
    if sum(len(data.targets(split)) for split in SPLITS) <= MOST_COMPARED:
        leaks = find_leaks(data)
    return ReportData(
        images("test"), description, data.class_names, images("val"), images("train"), levels, tuple(leaks)
    )


def _of_other_module(data: Any, model: TrainedModel) -> ReportData:
    for prepare, arguments in (("prepare_data", ()), ("setup", ("test",))):
        if callable(getattr(data, prepare, None)):
            getattr(data, prepare)(*arguments)
    loader = data.test_dataloader()
    if isinstance(loader, list | tuple) and len(loader) == 1:
        loader = loader[0]
    if not isinstance(loader, DataLoader):
        raise unknown_data(loader)
    test = images_of_loader(loader, model)
    names = getattr(data, "class_names", None) or getattr(loader.dataset, "classes", None)
    named = [str(name) for name in names] if isinstance(names, list | tuple) else None
    return ReportData(test, f"{type(data).__name__}, {len(test)} test images", named)


def _of_folder(root: Path, model: TrainedModel, batch_size: int) -> ReportData:
    if model.class_names is None:
        raise missing_names()
    if model.preprocessing is None:
        raise missing_preprocessing()
    names, transform = model.class_names, model.preprocessing.evaluation_transform()

    def images(folder: Path) -> LabelledImages:
        found = [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        check_class_folders(folder, sorted(found), names)
        samples = [
            (f"{label}/{name}", index)
            for index, label in enumerate(names)
            if label in found
            for name in find_images(folder / label).names
        ]
        files = FileSamples(folder, tuple(name for name, _ in samples), tuple(index for _, index in samples))
        return LabelledImages(
            ImageDataset(files, transform),
            lambda index: str(folder / files.names[index]),
            files.picture,
            {"batch_size": batch_size},
        )

    folders = split_folders(check_folder(root))
    if not folders:
        test = images(root)
        check_test_size(len(test), root)
        return ReportData(test, f"{len(test)} images in {root}, one folder a class", list(names))
    check_folder(folders.get("test", root / "test"))
    splits = {split: images(folder) for split, folder in folders.items()}
    check_test_size(len(splits["test"]), folders["test"])
    splits = {split: found for split, found in splits.items() if len(found)}
    sizes = ", ".join(f"{len(found)} {split}" for split, found in splits.items())
    description = f"{root}: one folder a class, {sizes}"
    files = {split: {name: name for name in map(found.name, range(len(found)))} for split, found in splits.items()}
    leaks = tuple(find_leaks(files)) if sum(map(len, files.values())) <= MOST_COMPARED else ()
    return ReportData(splits["test"], description, list(names), splits.get("val"), splits.get("train"), leaks=leaks)
