"""Which folders of a data set are splits and which are classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning.data._errors import SPLITS, NotAFolderError
from topk_lightning.data.image_files import find_images, images_directly_in, left_out_kinds, left_out_remedy, subfolders

__all__ = ["class_folders", "labelled_files", "split_folders", "split_of"]

_NAMES = {
    "train": "train|training|trn",
    "val": "val|valid|validation|dev|eval|evaluation",
    "test": "test|testing|tst|holdout",
}
_SPLIT = re.compile("|".join(f"(?P<{split}>{names})" for split, names in _NAMES.items()))
# As in seg_train, training_set, "Test images": names that a class may have as well, unlike the plain ones.
_DECORATED = re.compile(rf"(?:.+[_ -])?(?:{_SPLIT.pattern})(?:[_ -](?:set|data|images|split))?")

Labelled = list[tuple[str, int]]


def split_of(name: str, pattern: re.Pattern[str] = _SPLIT) -> str | None:
    """Return "train", "val" or "test" for a usual name of a split in upper or lower case, None for any other."""
    match = pattern.fullmatch(name.lower())
    return match.lastgroup if match else None


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split, or nothing where `root` holds one folder a class.

    Folders are splits if all of them have names that splits usually have: train and training; val, valid, validation,
    dev and eval; test and testing, in upper or lower case. Longer names such as seg_train must hold the same folders too.
    A folder of another name makes all of them classes: {bus, car, train}.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: two folders of one split, or folders of splits with the same classes beside a folder of another name.
    """
    names = subfolders(check_folder(root))
    splits = {name: split for name in names if (split := split_of(name, _DECORATED)) is not None}
    plain = all(split_of(name) for name in splits)
    if len(splits) < len(names):
        if plain and len(splits) > 1 and _share_folders(root, list(splits)):
            other = next(name for name in names if name not in splits)
            requirement = f"hold folders of splits or of classes in {root}"
            raise InvalidValueError(must("root", requirement, f"{other!r} beside {' and '.join(map(repr, splits))}"))
        return {}
    if not plain and not (len(splits) > 1 and _share_folders(root, list(splits))):
        return {}
    for split, count in Counter(splits.values()).items():
        if count > 1:
            actual = " and ".join(repr(name) for name, of in splits.items() if of == split)
            raise InvalidValueError(must("root", f"hold one folder for {split} in {root}", actual))
    return {split: root / name for split in SPLITS for name, of in splits.items() if of == split}


def class_folders(root: Path) -> list[str]:
    """Return the names of the classes, sorted; at least two, and the same in every split.

    Raises:
        FileNotFoundError: a missing folder.
        ValueError: one class only, or a class of another split that training lacks.
    """
    splits = split_folders(root)
    train = check_folder(splits.get("train", root / "train")) if splits else root
    names = subfolders(train)
    if len(names) < 2:
        actual = f"one class only ({names[0]!r})" if names else "none"
        raise InvalidValueError(must("root", f"hold at least two class folders in {train}", actual))
    for folder in splits.values():
        present = subfolders(folder)
        for name in names:
            if name not in present:
                raise missing_folder(folder / name)
        for name in present:
            if name not in names:
                requirement = f"hold the same classes in every split ({train} has no {name!r})"
                raise InvalidValueError(must("root", requirement, str(folder / name)))
    return names


def labelled_files(root: Path, classes: Sequence[str]) -> tuple[dict[str, Labelled], dict[str, int]]:
    """Return (name, class index) of each image of each split that `root` has, and how many files were left out.

    Where `root` holds one folder a class, all images are of "train". Images that stand in no class folder are left out.

    Raises:
        ValueError: an empty class.
    """
    splits = split_folders(root)
    left_out: Counter[str] = Counter()
    labelled: dict[str, Labelled] = {}
    for split, folder in (splits or {"train": root}).items():
        prefix = f"{folder.name}/" if splits else ""
        labelled[split] = []
        for index, label in enumerate(classes):
            images = find_images(folder / label)
            if not images.names:
                raise _empty_class(folder / label, images.left_out)
            labelled[split] += [(f"{prefix}{label}/{name}", index) for name in images.names]
            left_out.update(images.left_out)
    for folder in {root, *splits.values()}:
        left_out["image in no class folder"] += images_directly_in(folder)
    return labelled, {kind: count for kind, count in sorted(left_out.items()) if count}


def missing_folder(path: Path) -> MissingFileError:
    """Return the error for a folder that is not there."""
    return MissingFileError(must("root", f"hold the folder {path}", "no such folder"))


def check_folder(path: Path) -> Path:
    """Return a folder; what is missing, or a file, is named."""
    if not path.exists():
        raise missing_folder(path)
    if not path.is_dir():
        raise NotAFolderError(must("root", f"be a folder, also at {path}", "a file"))
    return path


def _share_folders(root: Path, names: Sequence[str]) -> bool:
    return bool(set.intersection(*(set(subfolders(root / name)) for name in names)))


def _empty_class(folder: Path, left_out: Mapping[str, int]) -> InvalidValueError:
    requirement = f"hold at least one image in {folder}"
    if left_out:
        return InvalidValueError(must("root", requirement, left_out_kinds(left_out), left_out_remedy(left_out)))
    return InvalidValueError(must("root", requirement, "none", "Add images, or remove the class from every split."))
