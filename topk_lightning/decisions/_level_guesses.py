"""The best class and the best group of each level, with their probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from topk_lightning.hierarchy import Hierarchy
from topk_lightning.ranking import topk_indices
from topk_lightning.scores import Scores

__all__ = ["LevelGuesses", "level_guesses"]


class LevelGuesses(NamedTuple):
    """What is most probable at each of L levels, that of the classes first.

    Attributes:
        group: index of the best class or group (N, L).
        probability: of it (N, L), float64; −1 in a row with a score that is no number.
    """

    group: Tensor
    probability: Tensor

    def level(self, threshold: float) -> Tensor:
        """Return the finest level with at least this probability (N,); L where there is none."""
        sure = torch.cat([self.probability >= threshold, torch.ones(len(self.group), 1, dtype=torch.bool)], 1)
        sure[self.probability[:, 0] < 0, :-1] = False
        return topk_indices(sure.to(torch.uint8), 1).flatten()

    def wrong(self, target: Tensor, levels: Mapping[str, Hierarchy]) -> Tensor:
        """Return whether the best of each level does not hold the target (N, L)."""
        groups = [target, *(torch.tensor(level.groups)[target] for level in levels.values())]
        return self.group != torch.stack(groups, 1)


def level_guesses(scores: Scores, levels: Mapping[str, Hierarchy]) -> LevelGuesses:
    """Return the best class and the best group of each level; probabilities are summed in float64."""
    groups = [(torch.tensor(level.groups), level.num_groups) for level in levels.values()]
    best, probability = [], []
    for block in scores.blocks("the level one is sure of"):
        p = block.log_probabilities().exp()
        broken = ~p.isfinite().all(1)
        firsts, sums = [topk_indices(block.values, 1)], [p]
        for group, count in groups:
            sums.append(p.new_zeros(len(p), count).index_add(1, group, p))
            firsts.append(topk_indices(sums[-1], 1))
        best.append(torch.cat(firsts, 1))
        chosen = [of_level.gather(1, first) for of_level, first in zip(sums, firsts, strict=True)]
        # A larger group is never less probable than a smaller one in it, whatever the sums were rounded to.
        probability.append(torch.cat(chosen, 1).cummax(1).values.masked_fill(broken.unsqueeze(1), -1))
    return LevelGuesses(torch.cat(best), torch.cat(probability))
