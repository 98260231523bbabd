"""The best class and the best group of each level, kept over batches and processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from topk_lightning.decisions._level_guesses import LevelGuesses, level_guesses
from topk_lightning.decisions._review_meter import KeptRows
from topk_lightning.hierarchy import read_levels
from topk_lightning.scores import Scores

__all__ = ["LevelMeter"]


class LevelMeter(KeptRows):
    """Keep the best class and the best group of each level: 16 bytes an image and level, whatever the number of classes.

    :func:`topk_lightning.decisions.roll_up` and the outcome of a roll-up take it instead of scores. Under DDP they speak of
    the images of all processes.

    Args:
        hierarchy: as for :func:`topk_lightning.decisions.roll_up`.
        class_names: names of the classes.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Examples:
        >>> meter = LevelMeter(
        ...     {"boston": "terrier", "airedale": "terrier", "beagle": "hound"},
        ...     ["boston", "airedale", "beagle"],
        ... )
        >>> meter.update(torch.tensor([[2.0, 2.0, -3.0]]), torch.tensor([1]))
        >>> guesses, target = meter.compute()
        >>> guesses.group
        tensor([[0, 1]])
    """

    def __init__(self, hierarchy: Any, class_names: Sequence[str], **kwargs: Any) -> None:
        self.class_names, self.levels = tuple(class_names), read_levels(hierarchy, class_names)
        # Groups that differ must have states of their own.
        key = hash(tuple(level.groups for level in self.levels.values())) % 2**32
        self._group, self._probability = f"group_{key}", f"probability_{key}"
        super().__init__({self._group: torch.int64, self._probability: torch.float64, "target": torch.int64}, **kwargs)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Keep the images of a batch; of none is no harm."""
        if not len(target):
            return
        guesses = level_guesses(Scores(logits.detach().cpu(), target.cpu(), kind="logits"), self.levels)
        self.keep_rows(guesses, target.cpu(), torch.arange(len(target)))

    def keep_rows(self, guesses: LevelGuesses, target: Tensor, rows: Tensor) -> None:
        """Keep some rows of what another meter of the same groups has kept."""
        group, probability = guesses.group[rows].flatten(), guesses.probability[rows].flatten()
        self.keep(**{self._group: group, self._probability: probability, "target": target[rows]})

    def compute(self) -> tuple[LevelGuesses, Tensor]:
        """Return the guesses of all images, and their classes."""
        levels, target = 1 + len(self.levels), self.kept("target")
        group, probability = (self.kept(name).view(len(target), levels) for name in (self._group, self._probability))
        return LevelGuesses(group, probability), target
