"""Groups of classes from a csv file, or from a tree of folders."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, MissingFileError, must, shown
from topk_lightning.hierarchy._groups import GROUPS

__all__ = ["read_groups"]


def read_groups(path: Path) -> dict[str, str]:
    """Return the name of the group of each class.

    Args:
        path: a csv file with a line class,group for each class, or with columns headed fine and coarse; or a folder that
            holds group/class.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: a file of something else, a class in two groups.
    """
    if path.is_dir():
        return _read_folders(path)
    if not path.is_file():
        raise MissingFileError(must(GROUPS, "be an existing csv file or folder", repr(str(path))))
    try:
        return _read_csv(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(must(GROUPS, "be a csv file, text in UTF-8", repr(str(path)))) from error


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
                raise _unreadable_row(path, reader.line_num, row)
            _put(group_of, row[fine], row[coarse])
    return group_of


def _read_folders(root: Path) -> dict[str, str]:
    """Return the group of each folder root/group/class; classes of one name in two groups are an error."""
    group_of: dict[str, str] = {}
    folders = [fine for fine in root.glob("*/*") if fine.is_dir() and not fine.name.startswith(".")]
    if not folders:
        remedy = "The tree is root/group/class, such as root/terrier/boston."
        wanted = "hold folders of groups, which hold a folder for each class"
        raise InvalidValueError(must(GROUPS, wanted, repr(str(root)), remedy))
    for fine in sorted(folders, key=lambda fine: fine.name):
        _put(group_of, fine.name, fine.parent.name)
    return group_of


def _put(group_of: dict[str, str], fine: str, coarse: str) -> None:
    if group_of.setdefault(fine, coarse) != coarse:
        groups = " and ".join(map(shown, sorted({group_of[fine], coarse})))
        raise InvalidValueError(must(GROUPS, f"put class {shown(fine)} into one group", groups))


def _unreadable_row(path: Path, line: int, row: Sequence[str]) -> InvalidValueError:
    """Return the error for a line of a csv file that does not name a class and its group."""
    remedy = "Write a line class,group for each class, or columns with the headings fine and coarse."
    return InvalidValueError(must(f"line {line} of {path}", "name a class and its group", shown(",".join(row)), remedy))
