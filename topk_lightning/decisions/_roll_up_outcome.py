"""How often the level one is sure of is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning.metrics import wilson_interval

__all__ = ["LevelAnswers", "RollUpOutcome"]


@dataclass(frozen=True)
class LevelAnswers:
    """The answers at one level.

    Attributes:
        level: its name.
        answered: images that are answered there.
        right: those of them that are right.
    """

    level: str
    answered: int
    right: int


@dataclass(frozen=True)
class RollUpOutcome:
    """Count the answers of a test.

    Attributes:
        images: N.
        by_level: the answers at each level, from fine to coarse.
        near: wrong answers that would have been right one level, two levels, … further up, and at none (L,).
    """

    images: int
    by_level: tuple[LevelAnswers, ...]
    near: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str], level: Tensor, wrong: Tensor) -> RollUpOutcome:
        """Count.

        Args:
            names: of the L levels.
            level: at which each image is answered (N,), L where it is not.
            wrong: whether the best of each level is wrong (N, L).
        """
        by_level, near = [], [0] * len(names)
        for number, name in enumerate(names):
            here = wrong[level == number]
            by_level.append(LevelAnswers(name, len(here), int((~here[:, number]).sum())))
            missed = here[here[:, number]]
            for further in range(1, len(names) - number):
                right = ~missed[:, number + further]
                near[further - 1] += int(right.sum())
                missed = missed[~right]
            near[-1] += len(missed)
        return cls(len(level), tuple(by_level), tuple(near))

    @property
    def answered(self) -> int:
        """Images with an answer."""
        return sum(level.answered for level in self.by_level)

    @property
    def right(self) -> int:
        """Right answers."""
        return sum(level.right for level in self.by_level)

    @property
    def share(self) -> float:
        """Share of the images with an answer."""
        return self.answered / self.images if self.images else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of the answers that are right; NaN without any."""
        return self.right / self.answered if self.answered else float("nan")

    @property
    def error(self) -> float:
        """Wrong answers, as a share of all images."""
        return (self.answered - self.right) / self.images if self.images else float("nan")

    def accuracy_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return Wilson's interval of :attr:`accuracy`."""
        bounds = wilson_interval(torch.tensor(self.accuracy), torch.tensor(self.answered), level)
        return float(bounds[0]), float(bounds[1])
