"""The level one is sure of: the finest name, of a class or of a group of classes, that is probable enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer
from topk_lightning.decisions._binomial import check_inner
from topk_lightning.decisions._confidences import as_scores, labels_alike
from topk_lightning.decisions._level_guesses import LevelGuesses, level_guesses
from topk_lightning.decisions._level_meter import LevelMeter
from topk_lightning.decisions._promise import nothing_promised, plain_threshold, threshold_of_plain
from topk_lightning.decisions._roll_up_outcome import RollUpOutcome
from topk_lightning.decisions._thresholds import NOTHING, threshold_of_events
from topk_lightning.hierarchy import Hierarchy, read_levels
from topk_lightning.scores import Scores

__all__ = ["RollUp", "SureAnswer", "fitted_threshold", "roll_up"]


class SureAnswer(NamedTuple):
    """What is said of an image.

    Attributes:
        level: name of the level: "class", or a level of the hierarchy; None: nothing is said.
        label: name of the class or the group; "" where nothing is said.
        probability: of it; NaN where nothing is said.
        by_level: the best class and the best group of each level, from fine to coarse: level, name, probability.
    """

    level: str | None
    label: str
    probability: float
    by_level: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, eq=False)
class RollUp:
    """Answer at the finest level that is sure enough; made by :func:`roll_up`.

    Attributes:
        threshold: probability from which on a class or group is said; infinity: nothing is.
        target_error: the promise: answered and wrong, as a share of all images.
        confidence: the probability of the promise.
        images: validation images that it was fitted on; 0: the threshold was given, and nothing is promised.
        class_names: names of the classes.
        levels: the groups by the name of their level, from fine to coarse.
    """

    threshold: float
    target_error: float
    confidence: float
    images: int
    class_names: tuple[str, ...]
    levels: Mapping[str, Hierarchy]

    @classmethod
    def at(cls, threshold: float, hierarchy: Any, class_names: Sequence[str]) -> RollUp:
        """Return the rule of a threshold that is given, without a promise.

        Args:
            threshold: probability from which on a class or group is said, in (0, 1).
            hierarchy: as for :func:`roll_up`.
            class_names: names of the classes.
        """
        check_inner("the probability of a sure answer", threshold)
        levels = read_levels(hierarchy, class_names)
        return cls(threshold, math.nan, math.nan, 0, tuple(class_names), levels)

    @property
    def level_names(self) -> tuple[str, ...]:
        """The levels from fine to coarse, that of the classes first."""
        return ("class", *self.levels)

    def answers(self, scores: Any, *, kind: str = "logits") -> list[SureAnswer]:
        """Return what is said of each image.

        Args:
            scores: :class:`topk_lightning.Scores`, or an array (N, C).
            kind: what an array holds: "logits" or "probabilities".
        """
        guesses = self._guesses(as_scores(scores, kind=kind))
        names = [self.class_names, *(level.group_names for level in self.levels.values())]
        rows = zip(
            guesses.group.tolist(), guesses.probability.tolist(), guesses.level(self.threshold).tolist(), strict=True
        )
        answers = []
        for groups, probabilities, at in rows:
            parts = zip(self.level_names, names, groups, probabilities, strict=True)
            by_level = tuple((level, of_level[group], p) for level, of_level, group, p in parts)
            level, label, probability = by_level[at] if at < len(by_level) else (None, "", math.nan)
            answers.append(SureAnswer(level, label, probability, by_level))
        return answers

    def outcome(self, scores: Any, target: Any = None, *, kind: str = "logits") -> RollUpOutcome:
        """Return how often an answer is given and right on images whose class is known.

        Args:
            scores: :class:`topk_lightning.Scores`, or an array (N, C).
            target: class of each image, beside an array.
            kind: what an array holds.
        """
        if isinstance(scores, LevelMeter):
            guesses, labels = scores.compute()
        else:
            given = as_scores(scores, target, kind)
            guesses, labels = self._guesses(given), labels_alike(given, "the outcome of a roll-up")
        wrong = guesses.wrong(labels, self.levels)
        return RollUpOutcome.of(self.level_names, guesses.level(self.threshold), wrong)

    @property
    def promise(self) -> str:
        """What is promised, in one sentence; or why nothing can be."""
        share, sure = f"{100 * self.target_error:g} %", f"{100 * self.confidence:g} %"
        if self.threshold == NOTHING:
            return nothing_promised("wrong answers", self.target_error, self.confidence, self.images)
        if not self.images:
            return f"A name is said from a probability of {self.threshold:.3g} on; nothing is promised without a fit."
        return (
            f"With {sure} confidence at most {share} of all pictures get a wrong answer, on pictures like the "
            f"{self.images:,} of the validation: a name is said from a probability of {self.threshold:.3f} on."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON has a form for; infinity is null."""
        levels = {
            name: {"groups": list(level.groups), "names": list(level.group_names)}
            for name, level in self.levels.items()
        }
        threshold = plain_threshold(self.threshold)
        plain = {"target_error": self.target_error, "confidence": self.confidence, "images": self.images}
        return {"threshold": threshold, **plain, "class_names": list(self.class_names), "levels": levels}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RollUp:
        """Return the roll-up of :meth:`to_dict`.

        Raises:
            ValueError: something else.
        """
        try:
            threshold = values["threshold"]
            names = tuple(values["class_names"])
            levels = {
                str(name): Hierarchy(tuple(level["groups"]), tuple(level["names"]), names)
                for name, level in values["levels"].items()
            }
            plain = values["target_error"], values["confidence"], check_integer("images", values["images"], 0)
            for name in ("target_error", "confidence") if values["images"] else ():
                check_inner(name, values[name])
            if any(len(level.groups) != len(names) for level in levels.values()):
                raise KeyError(len(names))
        except (KeyError, TypeError, AttributeError) as error:
            actual = ", ".join(map(repr, values)) or "none"
            raise InvalidValueError(must("the roll-up", "hold the values of RollUp.to_dict", actual)) from error
        return cls(threshold_of_plain("threshold", threshold), *plain, names, levels)

    def _guesses(self, scores: Scores) -> LevelGuesses:
        if scores.num_classes != len(self.class_names):
            wanted = f"have the {len(self.class_names)} classes of the hierarchy"
            raise InvalidValueError(must("scores", wanted, scores.num_classes))
        return level_guesses(scores, self.levels)


def roll_up(
    scores: Any,
    target: Any = None,
    *,
    hierarchy: Any = None,
    target_error: float = 0.1,
    confidence: float = 0.95,
    class_names: Sequence[str] | None = None,
    kind: str = "logits",
) -> RollUp:
    r"""Return from which probability on a class, or a group of classes, is said: the finest that is sure enough.

    The probability of a group is the sum over its classes, :math:`P(g) = \sum_{c \in g} p_c`. Of each level the best group
    is looked at, which need not hold the first guess; the answer is the best of the finest level with probability at least
    `threshold`. Where none is so probable, nothing is said. An answer is right if it is the class of the image, or a group
    that holds it.

    The threshold is the lowest, from strict to lax and up to the first that fails, at which answered and wrong images are
    at most `target_error` of all with probability `confidence`, by one bound of Clopper and Pearson as in
    :func:`topk_lightning.decisions.review_plan`. The number of wrong answers is not quite monotone in the threshold, which is why the
    search stops at the first failure.

    Shape:
        scores (N, C), target (N,).

    Args:
        scores: :class:`topk_lightning.Scores` of validation images, a :class:`topk_lightning.decisions.LevelMeter` that has
            seen them and knows the hierarchy, or an array (N, C) beside `target`.
        target: class of each image, beside an array.
        hierarchy: a csv file class,group,larger group,…, a tree of folders of any depth, {level: groups} from fine to coarse,
            or one level, as :func:`topk_lightning.hierarchy.read_levels` takes them.
        target_error: the share of wrong answers among all images that is promised, in (0, 1).
        confidence: the probability of the promise, in (0, 1).
        class_names: names of the classes; None: those of the scores.
        kind: what an array holds: "logits" or "probabilities".

    Raises:
        FileNotFoundError: no such hierarchy.
        ValueError: no target, a class without a group, an option out of range.

    Examples:
        It is never sure which terrier, always that it is one.

        >>> import torch
        >>> logits = torch.tensor([[2.0, 2.0, -3.0]]).expand(100, 3)
        >>> target = torch.tensor([0, 1]).repeat(50)
        >>> names = ["boston", "airedale", "beagle"]
        >>> kinds = {"boston": "terrier", "airedale": "terrier", "beagle": "hound"}
        >>> sure = roll_up(logits, target, hierarchy=kinds, target_error=0.05, class_names=names)
        >>> answer = sure.answers(logits[:1])[0]
        >>> answer.level, answer.label, round(answer.probability, 3)
        ('group', 'terrier', 0.997)

    Source: Deng, Krause, Berg and Fei-Fei, Hedging your bets, 2012, for the idea; the fit by fixed sequence testing,
    Angelopoulos et al., Learn then Test, 2021.
    """
    check_inner("target_error", target_error)
    check_inner("confidence", confidence)
    if isinstance(scores, LevelMeter):
        (guesses, labels), names, levels = scores.compute(), scores.class_names, scores.levels
    else:
        given = as_scores(scores, target, kind)
        names = tuple(given.names if class_names is None else class_names)
        if len(names) != given.num_classes:
            wanted = f"name the {given.num_classes} classes of the scores"
            raise InvalidValueError(must("class_names", wanted, len(names)))
        levels = dict(read_levels(hierarchy, names))
        guesses, labels = level_guesses(given, levels), labels_alike(given, "a roll-up")
    threshold = fitted_threshold(guesses, guesses.wrong(labels, levels), target_error, confidence)
    return RollUp(threshold, float(target_error), float(confidence), len(labels), names, levels)


def fitted_threshold(guesses: LevelGuesses, wrong: Tensor, target_error: float, confidence: float) -> float:
    """Return the lowest threshold, from strict to lax, before wrong answers first exceed what the promise allows."""
    wrong = wrong.long()
    # Where the threshold falls below the probability of a level, its answer takes the place of that of the coarser one.
    replaced = torch.cat([wrong[:, 1:], torch.zeros_like(wrong[:, :1])], 1)
    change = (wrong - replaced).flatten()
    return threshold_of_events(guesses.probability.flatten(), change, len(wrong), target_error, confidence)
