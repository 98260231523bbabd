"""All levels of a hierarchy, from fine to coarse: from a csv file, a tree of folders, or groups that are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, MissingFileError, must, shown
from topk_lightning._checks.class_names import check_different_names
from topk_lightning._files import csv_rows
from topk_lightning.hierarchy._hierarchy import Hierarchy

__all__ = ["check_nested", "read_levels"]

_ARGUMENT = "hierarchy"


def read_levels(given: Any, class_names: Sequence[str]) -> dict[str, Hierarchy]:
    """Return the groups of the classes at every level, from fine to coarse, by the name of the level.

    Args:
        given: a csv file with a line class,group,larger group,… for each class, under headings that begin with class (or
            fine) and name the levels, or without any; of columns about something else those headed fine and coarse; an empty cell is a class or group that stands alone at that level. A
            folder of folders of any depth, whose leaves are the classes: animals/dogs/terrier/boston. {level: groups} from
            fine to coarse, or one level, as :meth:`Hierarchy.of` takes them. Groups of one name in two larger groups are
            told apart by the name of the larger: dogs/other, cats/other.
        class_names: names of the classes, in the order of their indices. Classes that are not among them are left out.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a class that is not named or is named twice, a group that lies in two, lines of several lengths.

    Examples:
        >>> levels = read_levels(
        ...     {"kind": {"boston": "terrier", "airedale": "terrier", "beagle": "hound"}},
        ...     ["beagle", "boston"],
        ... )
        >>> levels["kind"].groups, levels["kind"].group_names
        ((0, 1), ('hound', 'terrier'))
    """
    if isinstance(given, str | Path):
        path, names = Path(given), check_different_names(class_names)
        if path.is_dir():
            return _named(_of_folders(path), None, names)
        if not path.is_file():
            raise MissingFileError(must(_ARGUMENT, "be an existing csv file or folder", repr(str(path))))
        ways, headings = _of_csv(path, names)
        return _named(ways, headings, names)
    # One level is a Hierarchy, or says a group for each class; several say a hierarchy for each level.
    is_one = not isinstance(given, Mapping) or all(isinstance(group, str | int) for group in given.values())
    of_level = {"group": given} if is_one else given
    levels = {str(level): _one_level(groups, class_names) for level, groups in of_level.items()}
    if not levels:
        raise InvalidValueError(must(_ARGUMENT, "have at least one level", "none"))
    _check_all_nested(levels, class_names)
    return levels


def _one_level(groups: Any, class_names: Sequence[str]) -> Hierarchy:
    level = Hierarchy.of(groups, class_names)
    if len(level.groups) != len(class_names):
        raise InvalidValueError(
            must(_ARGUMENT, f"name a group for each of {len(class_names)} classes", len(level.groups))
        )
    return level


def check_nested(name: str, groups: Sequence[int], coarser: str, coarser_groups: Sequence[int]) -> None:
    """Check that two levels speak of the same classes and that each group of the finer lies in one of the coarser."""
    if len(groups) != len(coarser_groups):
        actual = f"{len(groups)} for {name!r} and {len(coarser_groups)} for {coarser!r}"
        raise InvalidValueError(must("levels", "name a group for each class at every level", actual))
    parents: dict[int, int] = {}
    for group, parent in zip(groups, coarser_groups, strict=True):
        if parents.setdefault(group, parent) != parent:
            wanted = f"go from fine to coarse, each group of {name!r} within one of {coarser!r}"
            actual = f"group {group} of {name!r} in groups {parents[group]} and {parent}"
            raise InvalidValueError(must("levels", wanted, actual))


def _check_all_nested(levels: Mapping[str, Hierarchy], class_names: Sequence[str]) -> None:
    finer, groups = "class", tuple(range(len(class_names)))
    for level, hierarchy in levels.items():
        check_nested(finer, groups, level, hierarchy.groups)
        finer, groups = level, hierarchy.groups


def _of_csv(path: Path, class_names: Sequence[str]) -> tuple[dict[str, list[str]], list[str] | None]:
    """Return the groups of each class from fine to coarse, and the headings, where there are any."""
    rows = csv_rows(path, _ARGUMENT, "a csv file, text in UTF-8")
    if rows and {"fine", "coarse"} <= set(rows[0][1]) and rows[0][1][0] != "fine":  # among columns about something else
        columns = [rows[0][1].index(heading) for heading in ("fine", "coarse")]
        rows = [(number, [row[column] if column < len(row) else "" for column in columns]) for number, row in rows]
    headings = None
    if rows and rows[0][1][0].strip().lower() in ("class", "fine") and rows[0][1][0] not in class_names:
        headings = [cell.strip() for cell in rows.pop(0)[1]]
    width = len(headings or (rows[0][1] if rows else []))
    ways: dict[str, list[str]] = {}
    for number, row in rows:
        if len(row) != width or width < 2 or not row[0]:
            remedy = "Write a line class,group,larger group,… for each class."
            actual = shown(",".join(row))
            raise InvalidValueError(must(f"line {number} of {path}", "name a class and its groups", actual, remedy))
        if ways.setdefault(row[0], row[1:]) != row[1:]:
            raise InvalidValueError(must(_ARGUMENT, "name each class once", f"{shown(row[0])} twice in {path}"))
    return ways, headings


def _of_folders(root: Path) -> dict[str, list[str]]:
    """Return the groups of each leaf of a tree of folders, from fine to coarse; shallower leaves have empty cells."""
    paths: list[tuple[str, ...]] = []

    def visit(folder: Path, way: tuple[str, ...]) -> None:
        below = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
        for each in below:
            visit(each, (*way, each.name))
        if not below and way:
            paths.append(way)

    visit(root, ())
    depth = max(map(len, paths), default=0)
    if depth < 2:
        remedy = "The tree is root/group/class, such as root/terrier/boston."
        raise InvalidValueError(
            must(_ARGUMENT, "hold folders of groups, which hold the classes", repr(str(root)), remedy)
        )
    ways: dict[str, list[str]] = {}
    for *groups, leaf in paths:
        if leaf in ways:
            raise InvalidValueError(must(_ARGUMENT, "name each class once", f"{shown(leaf)} twice in {str(root)!r}"))
        ways[leaf] = [""] * (depth - 1 - len(groups)) + groups[::-1]
    return ways


def _named(
    ways: Mapping[str, Sequence[str]], headings: Sequence[str] | None, names: Sequence[str]
) -> dict[str, Hierarchy]:
    """Return the levels of the ways from the classes up, each group named once."""
    absent = [name for name in names if name not in ways]
    if absent:
        missing = ", ".join(map(shown, absent[:5])) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        known = f"It names {', '.join(map(shown, list(ways)[:5])) or 'no class'}{' and more' if len(ways) > 5 else ''}."
        raise InvalidValueError(must(_ARGUMENT, "name the groups of each class", f"none for {missing}", known))
    depth = len(next(iter(ways.values())))
    if headings is None or len(set(headings)) < len(headings) or not all(headings):
        headings = ["class", *(["group"] if depth == 1 else [f"level {number}" for number in range(1, depth + 1)])]
    # A group is known by its way from the top. What has an empty cell stands alone there: it is its own group.
    keys: list[list[tuple[str, ...]]] = [[] for _ in range(depth)]
    for name in names:
        cells = [name, *ways[name]]
        for level in range(depth):
            filled = next(cell for cell in cells[level + 1 :: -1] if cell)
            keys[level].append((*reversed([cell for cell in cells[level + 2 :] if cell]), filled))
    return {heading: _level(of_level, names) for heading, of_level in zip(headings[1:], keys, strict=True)}


def _level(keys: Sequence[tuple[str, ...]], names: Sequence[str]) -> Hierarchy:
    different = sorted(set(keys))
    count = Counter(key[-1] for key in different)
    shown_as = {key: key[-1] if count[key[-1]] == 1 else "/".join(key[-2:]) for key in different}
    index = {key: number for number, key in enumerate(different)}
    return Hierarchy(tuple(index[key] for key in keys), tuple(shown_as[key] for key in different), tuple(names))
