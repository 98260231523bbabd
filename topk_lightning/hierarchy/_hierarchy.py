"""Which group each class belongs to, from a dict, a csv file or a tree of folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must, shown
from topk_lightning._checks.class_names import check_different_names
from topk_lightning.hierarchy._group_files import read_groups
from topk_lightning.hierarchy._groups import GROUPS, check_groups

__all__ = ["Hierarchy"]

_WANTED = "be a list of group indices, a dict {class: group}, a csv file or a folder of folders"


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

    @property
    def group_names(self) -> tuple[str, ...]:
        """The names of the groups; "group 0", "group 1", … where they have none."""
        return self.coarse_names or tuple(f"group {index}" for index in range(self.num_groups))

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
            FileNotFoundError: no such file or folder.
            ValueError: a class without a group or in two groups, a group without a class, two classes of one name where
                groups are given by name, a file that cannot be read.
        """
        if isinstance(given, Hierarchy):
            return given
        if isinstance(given, str | Path):
            return cls._of_names(read_groups(Path(given)), class_names)
        indices: Any = given
        if isinstance(given, Mapping):
            if all(isinstance(key, str) for key in given):
                return cls._of_names({str(fine): str(coarse) for fine, coarse in given.items()}, class_names)
            absent = [str(index) for index in range(len(given)) if index not in given]
            if absent:
                raise _missing_classes(absent, list(given))
            indices = [indices[index] for index in range(len(given))]
        elif not isinstance(given, Sequence):
            raise InvalidTypeError(must(GROUPS, _WANTED, type(given).__name__))
        groups, _ = check_groups(indices)
        return cls(tuple(groups.tolist()), None, None if class_names is None else tuple(class_names))

    @classmethod
    def _of_names(cls, group_of: Mapping[str, str], class_names: Sequence[str] | None) -> Hierarchy:
        names = list(group_of) if class_names is None else list(check_different_names(class_names))
        absent = [name for name in names if name not in group_of]
        if absent:
            raise _missing_classes(absent, list(group_of))
        coarse = sorted({group_of[name] for name in names})
        index = {name: number for number, name in enumerate(coarse)}
        groups, _ = check_groups([index[group_of[name]] for name in names])
        return cls(tuple(groups.tolist()), tuple(coarse), tuple(names))


def _missing_classes(names: Sequence[str], known: Sequence[object]) -> InvalidValueError:
    """Return the error for classes that the hierarchy does not name."""
    missing = ", ".join(map(shown, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    near = f"It names {', '.join(map(shown, known[:5])) or 'no class'}{' and more' if len(known) > 5 else ''}."
    return InvalidValueError(must(GROUPS, "name a group for each class", f"none for {missing}", near))
