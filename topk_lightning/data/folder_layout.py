"""Which folders of a data set are splits and which are classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning.data._errors import SPLITS, NotAFolderError, warn_of_like_names
from topk_lightning.data.image_files import (
    composed,
    find_images,
    images_directly_in,
    left_out_kinds,
    left_out_remedy,
    subfolders,
)

__all__ = ["class_folders", "class_paths", "deeper_folders", "labelled_files", "split_folders", "split_of"]

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


def class_paths(folder: Path, levels: int = 1) -> dict[str, str]:
    """Return the path of each class below a folder by the name of its own folder, in the order of the names.

    Args:
        folder: the folder, or that of a split.
        levels: how many folders down a class is: 2 for ``genus/species``.

    Raises:
        ValueError: two classes of one name.
    """
    paths = subfolders(folder)
    for _ in range(levels - 1):
        paths = [f"{path}/{name}" for path in paths for name in subfolders(folder / path)]
    found: dict[str, str] = {}
    for path in paths:
        name = path.rpartition("/")[2]
        if name in found:
            actual = f"{found[name]!r} and {path!r}"
            raise InvalidValueError(must("root", f"hold one class of a name in {folder}", actual))
        found[name] = path
    return dict(sorted(found.items(), key=lambda pair: composed(pair[0])))


def class_folders(root: Path, levels: int = 1) -> dict[str, str]:
    """Return the path of each class by its name, sorted; at least two, and the same in every split.

    Raises:
        FileNotFoundError: a missing folder.
        ValueError: one class only, two of one name, or a class of another split that training lacks.
    """
    splits = split_folders(root)
    train = check_folder(splits.get("train", root / "train")) if splits else root
    paths = class_paths(train, levels)
    if len(paths) < 2:
        actual = f"one class only ({next(iter(paths))!r})" if paths else "none"
        below = f" {levels} levels down" if levels > 1 else ""
        raise InvalidValueError(must("root", f"hold at least two class folders{below} in {train}", actual))
    for folder in splits.values():
        present = class_paths(folder, levels).values()
        for path in paths.values():
            if path not in present:
                raise missing_folder(folder / path)
        for path in present:
            if path not in paths.values():
                requirement = f"hold the same classes in every split ({train} has no {path!r})"
                raise InvalidValueError(must("root", requirement, str(folder / path)))
    warn_of_like_names(paths, root)
    return paths


def labelled_files(root: Path, paths: Sequence[str]) -> tuple[dict[str, Labelled], dict[str, int]]:
    """Return (name, class index) of each image of each split that `root` has, and how many files were left out.

    Where `root` holds one folder a class, all images are of "train". Images that stand in no class folder are left out.

    Args:
        root: the folder.
        paths: of the classes, below it or below each split.

    Raises:
        ValueError: an empty class.
    """
    splits = split_folders(root)
    left_out: Counter[str] = Counter()
    labelled: dict[str, Labelled] = {}
    for split, folder in (splits or {"train": root}).items():
        prefix = f"{folder.name}/" if splits else ""
        labelled[split] = []
        for index, path in enumerate(paths):
            images = find_images(folder / path)
            if not images.names:
                raise _empty_class(folder / path, images.left_out)
            labelled[split] += [(f"{prefix}{path}/{name}", index) for name in images.names]
            left_out.update(images.left_out)
    parents = {parent for path in paths for parent in Path(path).parents}
    for folder in {root, *(folder / parent for folder in splits.values() or [root] for parent in parents)}:
        left_out["image in no class folder"] += images_directly_in(folder)
    return labelled, {kind: count for kind, count in sorted(left_out.items()) if count}


def deeper_folders(files: Labelled, paths: Sequence[str]) -> list[str]:
    """Return the folders that hold images where all of these lie below the folders of their classes, in more of them."""
    found = set()
    for name, index in files:
        folder = name.rpartition("/")[0]
        if folder == paths[index] or folder.endswith(f"/{paths[index]}"):
            return []
        found.add(folder)
    return sorted(found, key=composed) if len(found) > len(paths) else []


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
