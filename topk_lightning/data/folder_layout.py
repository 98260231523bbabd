"""Find the images of a folder: which layout it has, which classes, which files, and a split that repeats anywhere."""

from __future__ import annotations

import os
import random
import unicodedata
from pathlib import Path

from topk_lightning._checks.data import (
    SPLITS,
    check_folder,
    check_folder_classes,
    check_split_sizes,
    empty_class,
    missing_folder,
    unknown_folder,
)
from topk_lightning.data.images import IMAGE_SUFFIXES
from topk_lightning.data.samples import FileSamples

__all__ = ["class_folders", "find_files", "has_splits", "list_class_files", "split_files"]


def has_splits(root: Path) -> bool:
    """Say whether `root` holds train, val and test folders rather than one folder a class.

    It does if "train" stands there beside "val" or "test", or if there is nothing else: a class may be called "train".
    """
    names = set(_folders(check_folder(root)))
    return bool(names) and (names <= set(SPLITS) or ("train" in names and bool(names & {"val", "test"})))


def class_folders(root: Path) -> list[str]:
    """Return the names of the classes, sorted; at least two, and the same in every split.

    Raises:
        FileNotFoundError: a missing folder.
        ValueError: one class only, or a class of another split that training lacks.
    """
    splits = has_splits(root)
    names = _folders(check_folder(root / "train" if splits else root))
    check_folder_classes(root / "train" if splits else root, names)
    if splits:
        for split in SPLITS[1:]:
            present = _folders(check_folder(root / split))
            for name in names:
                if name not in present:
                    raise missing_folder(root / split / name)
            for name in present:
                if name not in names:
                    raise unknown_folder(root / split / name, root / "train")
    return names


def find_files(root: Path, classes: list[str]) -> dict[str, FileSamples]:
    """Return the files of each split of a folder with train, val and test; an empty class is a ValueError."""
    found = {}
    for split in SPLITS:
        files = [(name, index) for index, label in enumerate(classes) for name in _images(root, f"{split}/{label}")]
        found[split] = FileSamples(root, tuple(name for name, _ in files), tuple(index for _, index in files))
    return found


def split_files(
    root: Path, classes: list[str], val_fraction: float, test_fraction: float, seed: int
) -> dict[str, FileSamples]:
    """Split the files of each class among training, validation and test.

    Each class is shuffled by itself, from `seed` and its name: the same files fall into the same splits on every
    machine, and a class that is added or removed moves no file of another. A class of three images or more has at
    least one in each split; at least one always stays to train on.
    """
    parts: dict[str, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    for index, label in enumerate(classes):
        names = _images(root, label)
        random.Random(f"{seed}/{unicodedata.normalize('NFC', label)}").shuffle(names)
        count = len(names)
        test = _share(count, test_fraction, at_most=count - 1)
        val = _share(count, val_fraction, at_most=count - 1 - test)
        for split, part in (("test", names[:test]), ("val", names[test : test + val]), ("train", names[test + val :])):
            parts[split] += [(name, index) for name in sorted(part, key=_order)]
    check_split_sizes(root, {split: len(part) for split, part in parts.items()})
    return {
        split: FileSamples(root, tuple(name for name, _ in part), tuple(index for _, index in part))
        for split, part in parts.items()
    }


def _share(count: int, fraction: float, at_most: int) -> int:
    return max(0, min(max(1, round(count * fraction)), at_most))


def _folders(root: Path) -> list[str]:
    names = [entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(names, key=_order)


def list_class_files(root: Path, folder: str) -> list[str]:
    """Return the images below a folder, as paths relative to `root` with forward slashes, sorted; none of a missing one."""
    found = []
    for directory, folders, files in os.walk(root / folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(directory).relative_to(root)
        found += [
            (relative / name).as_posix()
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
        ]
    return sorted(found, key=_order)


def _images(root: Path, folder: str) -> list[str]:
    found = list_class_files(root, folder)
    if not found:
        raise empty_class(root / folder)
    return found


def _order(name: str) -> str:
    # File systems list in any order, and some decompose accents: sort by the composed name, code point by code point.
    return unicodedata.normalize("NFC", name)
