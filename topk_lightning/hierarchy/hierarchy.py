"""Which group each class belongs to, from a dict, a csv file or a tree of folders."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topk_lightning._checks.hierarchy import (
    check_groups,
    missing_classes,
    no_folders,
    two_groups,
    unknown_file,
    unreadable_row,
    wrong_hierarchy,
)

__all__ = ["Hierarchy"]


@dataclass(frozen=True)
class Hierarchy:
    """Name the group of each class.

    Args:
        groups: the group index of each class, from 0 without a gap.
        coarse_names: names of the groups.
        fine_names: names of the classes.

    Examples:
        >>> dogs = Hierarchy.of({"boston": "terrier", "beagle": "hound", "airedale": "terrier"})
        >>> dogs.fine_names, dogs.groups, dogs.coarse_names
        (('boston', 'beagle', 'airedale'), (1, 0, 1), ('hound', 'terrier'))
    """

    groups: tuple[int, ...]
    coarse_names: tuple[str, ...] | None = None
    fine_names: tuple[str, ...] | None = None

    @property
    def num_groups(self) -> int:
        """The number of groups G."""
        return max(self.groups) + 1

    @classmethod
    def of(
        cls,
        given: Hierarchy | Sequence[int] | Mapping[str, str] | Mapping[int, int] | str | Path,
        class_names: Sequence[str] | None = None,
    ) -> Hierarchy:
        """Return the hierarchy that `given` describes.

        Args:
            given: group indices of the classes; {class: group} in names or in indices; a csv file with a line
                class,group for each class, or with columns headed fine and coarse; or a folder that holds
                group/class, such as root/terrier/boston. Groups given by name are numbered in the order of their names.
            class_names: names of the classes in the order of their indices. Without them the classes are in the order of
                the dict or the lines; those of folders in the order of their names.

        Raises:
            TypeError: anything else.
            ValueError: a class without a group or in two groups, a group without a class, a file that cannot be read.
        """
        if isinstance(given, Hierarchy):
            return given
        if isinstance(given, str | Path):
            return cls._of_names(_read(Path(given)), class_names)
        indices: Any = given
        if isinstance(given, Mapping):
            if all(isinstance(key, str) for key in given):
                return cls._of_names({str(fine): str(coarse) for fine, coarse in given.items()}, class_names)
            absent = [str(index) for index in range(len(given)) if index not in given]
            if absent:
                raise missing_classes(absent, list(given))
            indices = [indices[index] for index in range(len(given))]
        elif not isinstance(given, Sequence):
            raise wrong_hierarchy(given)
        groups, _ = check_groups(indices)
        return cls(tuple(groups.tolist()), None, None if class_names is None else tuple(class_names))

    @classmethod
    def _of_names(cls, group_of: Mapping[str, str], class_names: Sequence[str] | None) -> Hierarchy:
        names = list(group_of) if class_names is None else list(class_names)
        absent = [name for name in names if name not in group_of]
        if absent:
            raise missing_classes(absent, list(group_of))
        coarse = sorted({group_of[name] for name in names})
        index = {name: number for number, name in enumerate(coarse)}
        groups, _ = check_groups([index[group_of[name]] for name in names])
        return cls(tuple(groups.tolist()), tuple(coarse), tuple(names))


def _read(path: Path) -> dict[str, str]:
    if path.is_dir():
        return _read_folders(path)
    if not path.is_file():
        raise unknown_file(str(path))
    return _read_csv(path)


def _read_csv(path: Path) -> dict[str, str]:
    group_of: dict[str, str] = {}
    fine, coarse, width = 0, 1, 2
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for number, row in enumerate(reader):
            if number == 0 and {"fine", "coarse"} <= set(row):
                fine, coarse, width = row.index("fine"), row.index("coarse"), len(row)
                continue
            if not row:
                continue
            if len(row) != width or not row[fine] or not row[coarse]:
                raise unreadable_row(str(path), reader.line_num, row)
            _put(group_of, row[fine], row[coarse])
    return group_of


def _read_folders(root: Path) -> dict[str, str]:
    """Return the group of each folder root/group/class; classes of one name in two groups are an error."""
    group_of: dict[str, str] = {}
    folders = [fine for fine in root.glob("*/*") if fine.is_dir() and not fine.name.startswith(".")]
    if not folders:
        raise no_folders(str(root))
    for fine in sorted(folders, key=lambda fine: fine.name):
        _put(group_of, fine.name, fine.parent.name)
    return group_of


def _put(group_of: dict[str, str], fine: str, coarse: str) -> None:
    if group_of.setdefault(fine, coarse) != coarse:
        raise two_groups(fine, {group_of[fine], coarse})
