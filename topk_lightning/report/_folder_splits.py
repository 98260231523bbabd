"""The images of a folder, one folder a class, or of a csv table, as a test takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning.data import (
    FileSamples,
    ImageDataset,
    Leak,
    TrainingData,
    check_folder,
    class_paths,
    file_digests,
    find_images,
    find_leaks,
    is_table,
    left_out_sentence,
    load_image,
    read_table,
    split_folders,
)
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._labelled_images import LabelledImages
from topk_lightning.report._splits import MOST_COMPARED, DataSplits

__all__ = ["splits_of_folder"]

#: (file, class index)
_Labelled = Sequence[tuple[str, int]]


def splits_of_folder(root: Path, model: TrainedModel, batch_size: int, skip_unreadable: bool) -> DataSplits:
    """Return the images of a folder or a table that is not the training's: all are tested where it has no splits.

    Args:
        root: the folder, or the csv table with the columns path, label and, if it says so, split.
        model: how images are prepared for it, and how deep the classes of its training lay.
        batch_size: images at a time.
        skip_unreadable: leave images out that cannot be read, instead of raising.
    """
    if model.class_names is None:
        remedy = "The model does not name its classes."
        raise InvalidValueError(must("class_names", "be given to read a folder of classes", None, remedy))
    left_out: Counter[str] = Counter()
    labelled: dict[str, tuple[Path, _Labelled]]
    if is_table(root):
        names, files = read_table(root, to_train=False)
        if len(files) > 1 and "test" not in files:
            raise InvalidValueError(
                must("data", f"hold test images in {root}", f"those of {' and '.join(files)} alone")
            )
        labelled = {split if len(files) > 1 else "test": (root.parent, of) for split, of in files.items()}
        kind = "a table"
    else:
        names, labelled = _labelled_folders(root, _levels_of(model), left_out)
        kind = "one folder a class"
    splits = {
        split: _images(folder, of, model, batch_size, skip_unreadable) for split, (folder, of) in labelled.items() if of
    }
    if "test" not in splits:
        raise InvalidValueError(must("data", "hold at least one test image", f"none in {labelled['test'][0]}"))
    if len(splits) == 1:
        description = f"{len(splits['test'])} images in {root}, {kind}"
    else:
        description = f"{root}: {kind}, {', '.join(f'{len(images)} {split}' for split, images in splits.items())}"
    return DataSplits(
        splits["test"],
        _with_left_out(description, left_out, root),
        names,
        splits.get("val"),
        splits.get("train"),
        leaks=_leaks({split: [images.name(index) for index in range(len(images))] for split, images in splits.items()})
        if len(splits) > 1
        else (),
    )


def _labelled_folders(
    root: Path, levels: int, left_out: Counter[str]
) -> tuple[list[str], dict[str, tuple[Path, _Labelled]]]:
    """Return the classes, and of each split its folder and its files; what was left out is counted."""
    folders = split_folders(check_folder(root))
    if folders:
        check_folder(folders.get("test", root / "test"))
    folders = folders or {"test": root}
    paths = {split: class_paths(folder, levels) for split, folder in folders.items()}
    for split, of_classes in paths.items():
        if not of_classes:
            raise InvalidValueError(must("data", f"hold a folder for each class in {folders[split]}", "none"))
    names = sorted({name for of_classes in paths.values() for name in of_classes})
    labelled: dict[str, tuple[Path, _Labelled]] = {}
    for split, folder in folders.items():
        files: list[tuple[str, int]] = []
        for index, label in enumerate(names):
            if label in paths[split]:
                images = find_images(folder / paths[split][label])
                left_out.update(images.left_out)
                files += [(f"{paths[split][label]}/{name}", index) for name in images.names]
        labelled[split] = folder, files
    return names, labelled


def _images(
    folder: Path, files: _Labelled, model: TrainedModel, batch_size: int, skip_unreadable: bool
) -> LabelledImages:
    preprocessing = model.known_preprocessing()
    names, targets = zip(*files, strict=True)
    samples = FileSamples(folder, names, targets, preprocessing.load)
    return LabelledImages(
        ImageDataset(samples, preprocessing.evaluation_transform()),
        lambda index: str(folder / names[index]),
        samples.picture,
        {"batch_size": batch_size},
        skip_unreadable,
        lambda indices: file_digests([folder / names[index] for index in indices], preprocessing.image_size),
    )


def _with_left_out(description: str, left_out: Counter[str], root: Path) -> str:
    return f"{description}. {left_out_sentence(left_out, root)}" if left_out else description


def _levels_of(model: TrainedModel) -> int:
    """Return how many folders down the classes of the training lie."""
    given = TrainingData.of(model.training_data).options.get("init_args")
    levels = given.get("levels") if isinstance(given, dict) else None
    return levels if isinstance(levels, int) and 1 <= levels <= 9 else 1


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
