"""A set of classes that is one group, said as the group."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from topk_lightning.hierarchy import Hierarchy

__all__ = ["group_of_set"]


def group_of_set(members: Tensor, levels: Mapping[str, Hierarchy]) -> tuple[str, str] | None:
    """Return the level and the name of the group that a set of classes is; None where it is no whole group.

    Args:
        members: which classes the set holds (C,), bool; a group of a single class is said by the name of the class.
        levels: the groups by the name of their level, from fine to coarse.
    """
    inside = members.nonzero().flatten().tolist()
    if len(inside) < 2:
        return None
    for name, level in levels.items():
        group = level.groups[inside[0]]
        if len(inside) == level.groups.count(group) and all(level.groups[each] == group for each in inside):
            return name, level.group_names[group]
    return None
