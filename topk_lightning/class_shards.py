"""Scores whose classes are shared out among processes: what each process says of them, joined by small sums.

Tensor parallelism gives each process the scores of some classes, as a ``DTensor`` with ``Shard(1)``. Ranks and losses send
a few numbers a row; the scores are never gathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._topk_ways import best_of_rows

__all__ = ["ClassShard", "is_sharded"]


def is_sharded(scores: object) -> bool:
    """Return whether scores are a DTensor."""
    # Its module is only imported where there is one.
    return type(scores).__name__ == "DTensor" and type(scores).__module__.startswith("torch.distributed")


@dataclass(frozen=True, eq=False)
class ClassShard:
    """The scores of some classes, (N, c), in each process of a group; in the order of the processes they are all C.

    Args:
        scores: of this process.
        first: the class of its first column.
        num_classes: C.
        group: the processes that hold the others.
    """

    scores: Tensor
    first: int
    num_classes: int
    group: Any

    @classmethod
    def of(cls, scores: Any) -> ClassShard:
        """Return the part of a DTensor (N, C) that this process holds; it passes gradients on.

        Raises:
            ValueError: it is sharded by something else than its classes.
        """
        shard = [d for d, placement in enumerate(scores.placements) if placement.is_shard(1)]
        others = [placement for d, placement in enumerate(scores.placements) if d not in shard]
        if scores.ndim != 2 or len(shard) != 1 or not all(placement.is_replicate() for placement in others):
            remedy = "Other dimensions of the mesh must be replicated: give each process the rows that it has."
            placements = f"shape {tuple(scores.shape)} and {scores.placements}"
            raise InvalidValueError(must("scores", "have shape (N, C) and be sharded by class", placements, remedy))
        group, num_classes = scores.device_mesh.get_group(shard[0]), scores.shape[1]
        size = -(-num_classes // dist.get_world_size(group))
        first = min(dist.get_rank(group) * size, num_classes)
        return cls(scores.to_local(), first, num_classes, group)

    def places(self, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns of classes (N, m), and which of them stand in this process; the columns of others are 0."""
        column = classes - self.first
        here = (column >= 0) & (column < self.scores.shape[1])
        return torch.where(here, column, 0), here

    def own(self, target: Tensor) -> Tensor:
        """Return the target's score where this process has it and 0 elsewhere, (N,), in at least float32."""
        wide = torch.promote_types(self.scores.dtype, torch.float32)
        if not self.scores.shape[1]:
            return self.scores.new_zeros(len(target), dtype=wide)
        column, here = self.places(target.unsqueeze(1))
        return torch.where(here, self.scores.detach().gather(1, column), 0).squeeze(1).to(wide)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of what all processes have, in place."""
        dist.all_reduce(values, group=self.group)
        return values

    def max(self, values: Tensor) -> Tensor:
        """Return the largest of what all processes have, in place."""
        dist.all_reduce(values, dist.ReduceOp.MAX, group=self.group)
        return values

    def gathered(self, values: Tensor) -> Tensor:
        """Return the columns (N, m) of all processes side by side, in their order."""
        parts = [torch.empty_like(values) for _ in range(dist.get_world_size(self.group))]
        dist.all_gather(parts, values.contiguous(), group=self.group)
        return torch.cat(parts, 1)

    def count(self, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return how many of all classes score higher than the target (N,), tie with it, and tie at a lower index.

        The target itself is among the tied; one whose score is NaN has all classes ahead and none tied.
        """
        scores = self.scores.detach()
        own = self.sum(self.own(target)).unsqueeze(1)
        tied = scores == own
        index = torch.arange(self.first, self.first + scores.shape[1], device=scores.device)
        kinds = (~(scores <= own), tied, tied & (index < target.unsqueeze(1)))
        higher, equal, lower = self.sum(torch.stack([kind.sum(1) for kind in kinds]))
        return higher, equal, lower

    def best(self, k: int) -> Tensor:
        """Return the k best of all classes of each row, (N, k), best first, by the order rule.

        Each process sends its k best. Side by side they stand by rising class where scores are equal, as the rule asks.
        """
        scores = self.scores.detach()
        num_processes = dist.get_world_size(self.group)
        size = -(-self.num_classes // num_processes)
        width = min(k, size)
        own = (
            best_of_rows(scores, min(k, scores.shape[1]))
            if scores.shape[1]
            else scores.new_zeros(len(scores), 0).long()
        )
        empty = (0, width - own.shape[1])
        wide = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
        values = self.gathered(torch.nn.functional.pad(wide.gather(1, own), empty))
        classes = self.gathered(torch.nn.functional.pad(own + self.first, empty))
        # The last processes may have fewer classes than they could send.
        sent = [min(width, max(0, self.num_classes - rank * size)) for rank in range(num_processes)]
        kept = torch.cat([rank * width + torch.arange(count) for rank, count in enumerate(sent)]).to(values.device)
        values, classes = values.index_select(1, kept), classes.index_select(1, kept)
        return classes.gather(1, best_of_rows(values, k))
