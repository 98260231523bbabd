"""What a class report finds worth saying, each finding with the numbers that led to it."""

from __future__ import annotations

from dataclasses import dataclass

from topk_lightning.metrics._wording import count, percent, some

__all__ = [
    "AccuracyParadox",
    "ConfusesNeighbours",
    "Finding",
    "Judged",
    "Leakage",
    "LowRecall",
    "Misses",
    "NanScores",
    "NeverPredicted",
    "NotLearned",
    "Overfitting",
    "TooFewImages",
]

SEVERITIES = ("serious", "warning", "good to know")


class Finding:
    """Something a person should know about a classifier or about its data."""

    @property
    def severity(self) -> str:
        """How much it matters: "serious", "warning" or "good to know"."""
        raise NotImplementedError

    @property
    def sentence(self) -> str:
        """The finding in plain English; names of classes and files stand in it as they are, so escape them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Judged:
    """A class, or the classes of a group that have too few images each, with its recall.

    Attributes:
        name: name of the class or of the group.
        images: test images.
        right: how many of them were recognised.
        low: lower bound of the recall, at a level that allows for all classes looked at.
        high: upper bound.
        classes: 1 for a class, or how many classes of the group are taken together.
    """

    name: str
    images: int
    right: int
    low: float
    high: float
    classes: int = 1

    @property
    def recall(self) -> float:
        """Share of the images that were recognised."""
        return self.right / self.images

    def __str__(self) -> str:
        together = f" of {self.classes} classes" if self.classes > 1 else ""
        return f'"{self.name}" {percent(self.recall)} ({self.right} of {count(self.images, "image")}{together})'


@dataclass(frozen=True)
class LowRecall(Finding):
    """Classes or groups that are recognised rarely, also when compared with all images.

    Attributes:
        accuracy: share of all images that were recognised.
        low_recall: the bound that the recalls lie below, interval and all.
        weakest: the classes or groups, lowest recall first.
    """

    accuracy: float
    low_recall: float
    weakest: tuple[Judged, ...]
    severity = "warning"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return f"Recognised less often than the {percent(self.accuracy)} of all images: {some(self.weakest)}."


@dataclass(frozen=True)
class AccuracyParadox(LowRecall):
    """A high accuracy that hides classes or groups of low recall; the numbers are those of :class:`LowRecall`."""

    severity = "serious"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"The accuracy is {percent(self.accuracy)}, but it hides what is recognised far less often: "
            f"{some(self.weakest)}."
        )


@dataclass(frozen=True)
class NeverPredicted(Finding):
    """Classes or groups with images that were not predicted once.

    Attributes:
        never: the classes or groups, most images first.
        min_images: images from which on chance is no explanation.
    """

    never: tuple[Judged, ...]
    min_images: int

    @property
    def severity(self) -> str:
        """How much it matters: "serious", or "good to know" where each has so few images that it may be chance."""
        return "serious" if self.never[0].images >= self.min_images else "good to know"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        names = [f'"{one.name}" ({count(one.images, "image")})' for one in self.never]
        chance = "" if self.severity == "serious" else " With so few images each this may be chance."
        return f"Never predicted, not even once: {some(names)}.{chance}"


@dataclass(frozen=True)
class TooFewImages(Finding):
    """Classes that have too few test images to be judged one by one.

    Attributes:
        names: their names, in the order of the class indices; those without any image are among them.
        without: how many of them have no image.
        num_classes: number of classes C.
        min_images: images from which on a class is judged by itself: with fewer, the interval of even a faultless class
            reaches below the bound of a low recall.
        groups: the groups that are judged in their place, lowest recall first.
    """

    names: tuple[str, ...]
    without: int
    num_classes: int
    min_images: int
    groups: tuple[Judged, ...] = ()

    @property
    def severity(self) -> str:
        """How much it matters: "warning" for more than half of the classes, or "good to know"."""
        return "warning" if 2 * len(self.names) > self.num_classes else "good to know"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        names = some([f'"{name}"' for name in self.names])
        which = f"All {self.num_classes} classes have"
        if len(self.names) < self.num_classes:
            verb = "has" if len(self.names) == 1 else "have"
            which = f"{len(self.names)} of {self.num_classes} classes ({names}) {verb}"
        none = f"; {self.without} of them {'has' if self.without == 1 else 'have'} none" if self.without else ""
        return f"{which} fewer than {self.min_images} test images, too few to judge one by one{none}.{self._together()}"

    def _together(self) -> str:
        if not self.groups:
            return ""
        if len(self.groups) == 1:
            return f" Taken together by their group: {self.groups[0]}."
        worst, best = self.groups[0], self.groups[-1]
        return f" Taken together they make {len(self.groups)} groups, from {worst} to {best}."


@dataclass(frozen=True)
class Overfitting(Finding):
    """Accuracy on the training images far above that on images held out.

    Attributes:
        train_accuracy: accuracy on the training images.
        held_out_accuracy: accuracy on images held out.
        split: where the latter was measured, "validation" or "test".
    """

    train_accuracy: float
    held_out_accuracy: float
    split: str
    severity = "warning"

    @property
    def gap(self) -> float:
        """Difference of the two."""
        return self.train_accuracy - self.held_out_accuracy

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"Overfitting: the accuracy on training images is {percent(self.train_accuracy)}, on {self.split} images "
            f"{percent(self.held_out_accuracy)}, {100 * self.gap:.0f} points lower."
        )


@dataclass(frozen=True)
class Leakage(Finding):
    """Images that stand in more than one split, or look almost like one in another split.

    Attributes:
        exact: groups of identical images.
        near: pairs of images from different splits that look almost the same.
        examples: some of them, each image as "split: name".
        blank: images of nearly one colour, which were only compared for being identical.
    """

    exact: int
    near: int
    examples: tuple[tuple[str, ...], ...]
    blank: int = 0

    @property
    def severity(self) -> str:
        """How much it matters: "serious" for identical images, "warning" for similar ones."""
        return "serious" if self.exact else "warning"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        exact = f"{count(self.exact, 'image')} {'stands' if self.exact == 1 else 'stand'} in more than one split"
        look = "looks" if self.near == 1 else "look"
        near = f"{count(self.near, 'pair')} of images from different splits {look} almost the same"
        found = " and ".join([exact] * bool(self.exact) + [near] * bool(self.near))
        blank = f" {count(self.blank, 'image')} of nearly one colour could not be compared." if self.blank else ""
        example = " and ".join(self.examples[0])
        return f"Leakage: {found}, such as {example}. Numbers measured on them flatter the model.{blank}"


@dataclass(frozen=True)
class Misses(Finding):
    """What the images missed at top 1 say.

    Attributes:
        accuracy: top-1 accuracy.
        topk_accuracy: top-k accuracy.
        k: how many classes count as best.
        missed: images missed at top 1.
        nearly: those of them with the true class at rank 2 … k.
        chance: share of them that a random order of the other classes would put there.
    """

    accuracy: float
    topk_accuracy: float
    k: int
    missed: int
    nearly: int
    chance: float

    def _near_misses(self) -> str:
        have = "has" if self.nearly == 1 else "have"
        return (
            f"{self.nearly} ({percent(self.nearly / self.missed)}) {have} the true class among the {self.k} best, where "
            f"chance would put {percent(self.chance)} of them"
        )


@dataclass(frozen=True)
class ConfusesNeighbours(Misses):
    """Many misses are near misses: the true class stands at rank 2 … k; the numbers are those of :class:`Misses`."""

    severity = "good to know"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return f"It confuses neighbours: of {count(self.missed, 'missed image')}, {self._near_misses()}."


@dataclass(frozen=True)
class NotLearned(Misses):
    """A low accuracy whose misses are no near misses; the numbers are those of :class:`Misses`."""

    severity = "serious"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"It has not learned the classes: the accuracy is {percent(self.accuracy)}, and of "
            f"{count(self.missed, 'missed image')} only {self._near_misses()}."
        )


@dataclass(frozen=True)
class NanScores(Finding):
    """Images whose scores hold a NaN.

    Attributes:
        rows: how many.
        images: test images.
    """

    rows: int
    images: int
    severity = "serious"

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            f"{self.rows} of {count(self.images, 'image')} got a score that is not a number (NaN); they have no predicted "
            "class and count as missed."
        )
