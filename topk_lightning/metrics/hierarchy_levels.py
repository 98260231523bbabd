"""Accuracy at each level of a hierarchy, and how far off the mistakes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.class_names import check_class_names, distinct_names
from topk_lightning._checks.options import check_integer
from topk_lightning.hierarchy import Hierarchy, check_nested
from topk_lightning.metrics.intervals import wilson_interval

__all__ = ["HierarchyLevels", "LevelAccuracy", "MistakeDistance", "hierarchy_levels"]

Level = Hierarchy | Sequence[int] | Mapping[str, str] | Mapping[int, int] | str | Path


@dataclass(frozen=True)
class LevelAccuracy:
    """How often the predicted class lies in the group of the true one.

    Args:
        level: name of the level; "class" for the classes themselves.
        num_groups: groups at this level.
        right: images whose predicted class lies in the right group.
        images: all images.
        low: lower bound of Wilson's 95 % interval of the accuracy; NaN without images.
        high: its upper bound.
    """

    level: str
    num_groups: int
    right: int
    images: int
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        """The fraction of the images in the right group; NaN without images."""
        return self.right / self.images if self.images else float("nan")


@dataclass(frozen=True)
class MistakeDistance:
    """How many mistakes stay within one group of a level, but within none of a finer one.

    Args:
        level: name of the level where true and predicted class first meet; None: they meet nowhere.
        mistakes: how many.
        by_chance: how many it would be on average had each mistake hit one of the other classes at random.
        example: the most frequent of them: names of the true and of the predicted class; None where there is none.
    """

    level: str | None
    mistakes: int
    by_chance: float
    example: tuple[str, str] | None


@dataclass(frozen=True)
class HierarchyLevels:
    """Accuracy at each level, and the distances of the mistakes.

    Args:
        levels: the classes themselves first, then each level from fine to coarse.
        distances: near mistakes first; the last are those between classes that meet at no level.
    """

    levels: tuple[LevelAccuracy, ...]
    distances: tuple[MistakeDistance, ...]

    @property
    def mistakes(self) -> int:
        """Images that were predicted as another class."""
        return sum(distance.mistakes for distance in self.distances)

    @property
    def mean_distance(self) -> float:
        """Mean distance of a mistake: 1 within a group of the finest level, …, levels + 1 in nothing; NaN without any."""
        return self._mean([distance.mistakes for distance in self.distances])

    @property
    def mean_distance_by_chance(self) -> float:
        """What :attr:`mean_distance` would be had each mistake hit one of the other classes at random."""
        return self._mean([distance.by_chance for distance in self.distances])

    def _mean(self, weights: Sequence[float]) -> float:
        total = sum(place * weight for place, weight in enumerate(weights, 1))
        return total / self.mistakes if self.mistakes else float("nan")


def hierarchy_levels(
    confusions: Tensor,
    levels: Mapping[str, Level],
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    *,
    nan_rows: int = 0,
) -> HierarchyLevels:
    r"""Return the accuracy at each level of a hierarchy, and how far off the mistakes are.

    At a level an image is right if its predicted class lies in the group of its true class. The distance of a mistake is
    the number of levels, that of the classes included, at which the two differ: 1 for a terrier taken for another
    terrier, more for a hound, and the number of levels + 1 for a truck. Beside the counts stands what they would be by
    chance, with as many mistakes on the same images, each of which hits one of the other C − 1 classes at random: for an
    image whose groups hold :math:`g_1 \le g_2 \le \dots` classes distance d has probability
    :math:`(g_d - g_{d-1}) / (C - 1)`, with :math:`g_0 = 1`.

    The group is that of the best single class. A model that is asked for the best group itself, with
    :func:`topk_lightning.coarsen_logits`, may do better.

    Args:
        confusions: actual class, predicted class and count of each pair, (M, 3), as
            :meth:`topk_lightning.ClassReport.confusions` returns them.
        levels: {name: groups} from fine to coarse, each level as :meth:`topk_lightning.Hierarchy.of` takes it, such as
            ``EmojiDataModule.fine_to_coarse``.
        class_names: a list, {index: name} or {name: index}, for the examples and for levels that speak of names; None:
            the indices as text.
        nan_rows: images without a prediction; they are wrong at each level, and no mistakes between two classes.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the levels do not nest, or speak of other classes than the confusions.

    Source:
        Deng et al., What does classifying more than 10,000 image categories tell us?, ECCV 2010, section 5: the height of
        the lowest common ancestor as the cost of a mistake. The comparison with chance is ours.

    Examples:
        Two of ten boston terriers are taken for airedales, one for a truck.

        >>> kinds = {"breed": [0, 0, 1, 2], "kind": [0, 0, 0, 1]}  # boston, airedale; beagle; truck
        >>> confusions = torch.tensor([[0, 0, 7], [0, 1, 2], [0, 3, 1]])
        >>> found = hierarchy_levels(confusions, kinds, ["boston", "airedale", "beagle", "truck"])
        >>> [(level.level, level.accuracy) for level in found.levels]
        [('class', 0.7), ('breed', 0.9), ('kind', 0.9)]
        >>> [(distance.level, distance.mistakes, distance.example) for distance in found.distances]
        [('breed', 2, ('boston', 'airedale')), ('kind', 0, None), (None, 1, ('boston', 'truck'))]
        >>> [round(distance.by_chance, 2) for distance in found.distances]
        [1.0, 1.0, 1.0]
    """
    _check_levels(levels)
    check_integer("nan_rows", nan_rows, 0)
    names = None if class_names is None else check_class_names(class_names)
    groups = {name: Hierarchy.of(level, names) for name, level in levels.items()}
    for (name, finer), (coarser, parents) in pairwise(groups.items()):
        check_nested(name, finer.groups, coarser, parents.groups)
    num_classes = len(next(iter(groups.values())).groups)
    names = [str(index) for index in range(num_classes)] if names is None else check_class_names(names, num_classes)
    names = distinct_names(names)
    pairs = _check_confusions(confusions, num_classes)
    # The group of each class at each level, each class being its own group at first: (1 + L, C).
    group_of = torch.stack([torch.arange(num_classes), *(torch.tensor(level.groups) for level in groups.values())])
    distance = (group_of[:, pairs[:, 0]] != group_of[:, pairs[:, 1]]).sum(0)
    totals = torch.zeros(len(group_of) + 1, dtype=torch.int64).index_add_(0, distance, pairs[:, 2])

    images = int(totals.sum()) + nan_rows
    accuracies = []
    for name, row, right in zip(["class", *groups], group_of, totals.cumsum(0)[:-1].tolist(), strict=True):
        rows = torch.tensor(images, dtype=torch.float64)
        low, high = wilson_interval(right / rows, rows, 0.95).tolist()
        accuracies.append(LevelAccuracy(name, int(row.max()) + 1, right, images, low, high))
    by_chance = _by_chance(group_of, pairs[distance > 0])
    distances = []
    for steps, level in enumerate([*groups, None], 1):
        example = _most_frequent(pairs[distance == steps], names)
        distances.append(MistakeDistance(level, int(totals[steps]), by_chance[steps - 1], example))
    return HierarchyLevels(tuple(accuracies), tuple(distances))


def _by_chance(group_of: Tensor, mistakes: Tensor) -> list[float]:
    """Return how many mistakes had each distance on average, were each predicted class another one at random."""
    num_classes = group_of.shape[1]
    sizes = torch.stack([torch.bincount(row)[row] for row in group_of] + [torch.full((num_classes,), num_classes)])
    actual, _, count = mistakes.unbind(1)
    # Classes that lie in the group of a level, but not in that of the finer one.
    return ((sizes.diff(dim=0)[:, actual] * count).sum(1) / max(1, num_classes - 1)).tolist()


def _most_frequent(mistakes: Tensor, names: Sequence[str]) -> tuple[str, str] | None:
    """Return the names of the most frequent pair; of equals the first."""
    if not len(mistakes):
        return None
    actual, predicted, _ = max(mistakes.tolist(), key=lambda pair: pair[2])
    return names[actual], names[predicted]


def _check_levels(levels: object) -> None:
    """Check that there is at least one level, by name."""
    if not isinstance(levels, Mapping):
        remedy = 'Did you mean {"group": fine_to_coarse}?'
        raise InvalidTypeError(
            must("levels", "be a dict {level: groups of the classes}", type(levels).__name__, remedy)
        )
    if not levels:
        raise InvalidValueError(must("levels", "hold at least one level", "none"))


def _check_confusions(confusions: object, num_classes: int) -> Tensor:
    """Return the counted pairs of classes (M, 3) as int64 on the CPU."""
    if not isinstance(confusions, Tensor):
        raise InvalidTypeError(must("confusions", "be a torch.Tensor", type(confusions).__name__))
    if confusions.ndim != 2 or confusions.shape[1] != 3:
        remedy = "ClassReport.confusions() returns them."
        wanted = "have shape (M, 3): actual class, predicted class, count"
        raise InvalidValueError(must("confusions", wanted, tuple(confusions.shape), remedy))
    if confusions.is_floating_point() or confusions.is_complex() or confusions.dtype == torch.bool:
        raise InvalidTypeError(must("confusions", "be of an integer dtype", confusions.dtype))
    pairs = confusions[:, :2]
    if pairs.numel() and not (pairs.min() >= 0 and pairs.max() < num_classes):
        wrong = int(pairs.min()) if pairs.min() < 0 else int(pairs.max())
        raise InvalidValueError(
            must("confusions", f"hold class indices in [0, {num_classes}), as the levels do", wrong)
        )
    return confusions.cpu().long()
