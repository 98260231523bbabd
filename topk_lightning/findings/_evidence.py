"""What findings are made from: the counts of a test, and the classes and groups of which something can be said.

A class is judged by itself from `min_images` on, the number at which the interval of a faultless class clears the bound
of a low recall. The others are judged together, group by group, where groups are given. The intervals of all that are
judged share one level (Bonferroni), so that a thousand classes do not make a finding by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_fraction, check_integer, check_level
from topk_lightning.data import Leak, Leaks
from topk_lightning.findings._wording import count, percent
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ClassCounts, ClassReport, wilson_interval

__all__ = ["LOW_ACCURACY", "LOW_RECALL", "ClassRecall", "Evidence", "counts_of", "groups_of", "images_to_judge"]

#: Below this, the recall of a class is low.
LOW_RECALL = 0.60
#: Up to this, an accuracy is low.
LOW_ACCURACY = 0.50


@dataclass(frozen=True)
class ClassRecall:
    """A class, or the classes of a group that have too few images each, with its recall.

    Attributes:
        name: name of the class or of the group.
        images: test images.
        right: how many of them were recognised.
        low: lower bound of the recall, at a level that allows for all classes looked at.
        high: upper bound.
        classes: 1 for a class, or how many classes of the group are taken together.
        predicted: how many images were given to the class, or to one of these classes.
    """

    name: str
    images: int
    right: int
    low: float
    high: float
    classes: int = 1
    predicted: int = 0

    @property
    def recall(self) -> float:
        """Share of the images that were recognised."""
        return self.right / self.images

    def __str__(self) -> str:
        together = f" of {self.classes} classes" if self.classes > 1 else ""
        return f'"{self.name}" {percent(self.recall)} ({self.right} of {count(self.images, "image")}{together})'


@dataclass(frozen=True)
class Evidence:
    """All that a rule may look at.

    Args:
        counts: of the test.
        names: of the classes.
        k: the k of near misses.
        level: of all intervals together.
        min_images: images from which on a class is judged by itself.
        thresholds: the numbers of all rules, by name.
        groups: the group of each class, if there are groups.
        train_accuracy: accuracy on training images, if known.
        val_accuracy: accuracy on validation images, if known.
        leaks: images that stand in more than one split, if they were looked for.
        trained_on: test images that were trained on.
        unreadable: names of images that could not be read.
        are_probabilities: whether the scores of all images are such as a softmax returns, though logits are expected.
        suspects: images whose labels look wrong (:class:`SuspectLabel`), the least probable label first.
    """

    counts: ClassCounts
    names: Sequence[str]
    k: int
    level: float
    min_images: int
    thresholds: Mapping[str, float] = field(default_factory=dict)
    groups: Hierarchy | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    leaks: Leaks | Sequence[Leak] = ()
    trained_on: int = 0
    unreadable: Sequence[str] = ()
    are_probabilities: bool = False
    suspects: Sequence[Any] = ()

    def __post_init__(self) -> None:
        check_level(self.level)
        check_integer("min_images", self.min_images)
        for name, value in self.thresholds.items():
            check_fraction(name, value)

    @property
    def total(self) -> int:
        """Number of images."""
        return int(self.counts.histogram.sum())

    @property
    def accuracy(self) -> float:
        """Share of the images whose first guess is right."""
        return int(self.counts.histogram[0]) / self.total

    @cached_property
    def images(self) -> list[int]:
        """Images of each class."""
        return self.counts.support.tolist()

    @cached_property
    def few(self) -> list[int]:
        """Classes with fewer than `min_images` images, those without any among them."""
        return [index for index, images in enumerate(self.images) if images < self.min_images]

    @cached_property
    def judged(self) -> list[ClassRecall]:
        """Recall of the classes that are judged by themselves, in order, then of the groups of the others."""
        return self._recalls(self._units, self.shared_level)

    @cached_property
    def together(self) -> list[ClassRecall]:
        """Recall of the groups of classes with few images."""
        return [unit for unit in self.judged if unit.classes > 1 or unit.images < self.min_images]

    @property
    def shared_level(self) -> float:
        """Level of each interval by which all hold together with `level`."""
        return 1 - (1 - self.level) / max(1, len(self._units))

    def rare(self, indices: Sequence[int]) -> list[ClassRecall]:
        """Recall of classes that are not judged by themselves."""
        return self._recalls([([index], self.names[index]) for index in indices], self.shared_level)

    def interval(self, right: int, images: int) -> tuple[float, float]:
        """Return the bounds of one fraction, at the level of all."""
        low, high = _wilson([right], [images], self.level)[0]
        return low, high

    @cached_property
    def _units(self) -> list[tuple[list[int], str]]:
        alone = [([index], name) for index, name in enumerate(self.names) if self.images[index] >= self.min_images]
        if self.groups is None:
            return alone
        members: list[list[int]] = [[] for _ in range(self.groups.num_groups)]
        for index in self.few:
            members[self.groups.groups[index]].append(index)
        names = self.groups.group_names
        together = zip(members, names, strict=True)
        return alone + [unit for unit in together if sum(self.images[index] for index in unit[0]) >= self.min_images]

    def _recalls(self, units: Sequence[tuple[Sequence[int], str]], level: float) -> list[ClassRecall]:
        per_class = torch.stack([self.counts.support, self.counts.within(1), self.counts.predicted]).tolist()
        sums = [[sum(counts[index] for index in members) for counts in per_class] for members, _ in units]
        bounds = _wilson([right for _, right, _ in sums], [images for images, _, _ in sums], level)
        return [
            ClassRecall(name, images, right, low, high, len(members), predicted)
            for (members, name), (images, right, predicted), (low, high) in zip(units, sums, bounds, strict=True)
        ]


def _wilson(right: Sequence[int], images: Sequence[int], level: float) -> list[list[float]]:
    rows = torch.tensor(images, dtype=torch.float64)
    return wilson_interval(torch.tensor(right, dtype=torch.float64) / rows, rows, level).tolist()


def images_to_judge(low_recall: float, level: float = 0.95, name: str = "low_recall") -> int:
    """Return from how many images n on Wilson's interval of a recall of 1, [n/(n + z²), 1], clears `low_recall`."""
    if check_fraction(name, low_recall) == 1:
        raise InvalidValueError(must(name, "be below 1, which no interval lies above", low_recall))
    z = float(torch.special.ndtri(torch.tensor((1 + check_level(level)) / 2, dtype=torch.float64)))
    return math.floor(z**2 * low_recall / (1 - low_recall)) + 1


def counts_of(report: ClassReport) -> ClassCounts:
    """Return the counts of all processes, which must not be empty."""
    counts = report.counts()
    if not counts.histogram.sum():
        remedy = "Call update, or look at the test set."
        raise InvalidValueError(must("the report", "have seen at least one image", "none", remedy))
    return counts


def groups_of(groups: Any, class_names: Sequence[str]) -> Hierarchy:
    """Return the group of each class, from its names in the order of the classes or from all a hierarchy is made of."""
    if isinstance(groups, Sequence) and not isinstance(groups, str) and all(isinstance(name, str) for name in groups):
        coarse = {name: number for number, name in enumerate(sorted(set(groups)))}
        hierarchy = Hierarchy(tuple(coarse[name] for name in groups), tuple(coarse))
    else:
        hierarchy = Hierarchy.of(groups, class_names)
    if len(hierarchy.groups) != len(class_names):
        wanted = f"hold {len(class_names)} groups, one a class"
        raise InvalidValueError(must("groups", wanted, len(hierarchy.groups)))
    return hierarchy


def check_accuracy(name: str, accuracy: float | Tensor | None) -> float | None:
    """Return an accuracy in [0, 1], which may be a tensor of one element, as trainers keep it."""
    if accuracy is None:
        return None
    return check_fraction(name, accuracy.item() if isinstance(accuracy, Tensor) and accuracy.numel() == 1 else accuracy)
