"""Scores in memory or stored ones, read alike: a block of rows at a time, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_choice
from topk_lightning._checks.scores import check_labels, check_scores, check_target, check_weights
from topk_lightning.decisions._conformal_scores import row_blocks
from topk_lightning.ranking import count_ahead
from topk_lightning.scores import KINDS, ScoreBlock, Scores

__all__ = ["ScoreRows"]


@dataclass(frozen=True)
class ScoreRows:
    """Rows of scores (N, C) with their targets.

    Args:
        source: a tensor, or stored scores, whose kind, target and weights go before those given here.
        target: class of each row (N,); its right classes as 0 and 1 (N, C), of which that counts which stands first.
        sample_weight: weight ≥ 0 of each row (N,).
        kind: "logits" or "probabilities".
    """

    source: Tensor | Scores
    target: Tensor | None = None
    sample_weight: Tensor | None = None
    kind: str = "logits"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if isinstance(self.source, Scores):
            return
        check_scores(self.source, name="scores")
        if self.source.ndim != 2:
            raise InvalidValueError(must("scores", "have shape (N, C), a row an image", tuple(self.source.shape)))
        if not self.source.is_floating_point():
            raise InvalidTypeError(must("scores", "be of a float dtype", self.source.dtype))
        if self.sample_weight is not None:
            check_weights(self.sample_weight, self.source.shape[:1])

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes, where stored scores have them."""
        return self.source.class_names if isinstance(self.source, Scores) else None

    @property
    def num_classes(self) -> int:
        """C."""
        return self.source.num_classes if isinstance(self.source, Scores) else self.source.shape[1]

    def __len__(self) -> int:
        """N."""
        return len(self.source)

    def labels(self) -> Tensor:
        """Return the class of each row (N,), int64, on the device of the scores."""
        if isinstance(self.source, Scores):
            return self.source.labels("prediction sets").long()
        target = self.target
        is_accepted = isinstance(target, Tensor) and target.shape == self.source.shape
        if isinstance(target, Tensor) and is_accepted and not target.is_floating_point():
            return first_accepted(self.source, target)
        if check_target(target, self.source, 1, "scores"):
            remedy = "Draw a class from each row, or pass the right classes as 0 and 1."
            raise InvalidTypeError(must("target", "hold one class a row", "distributions over classes", remedy))
        label = target.to(self.source.device).long()  # type: ignore[union-attr]
        check_labels(label, self.num_classes)
        return label

    def blocks(self) -> Iterator[tuple[slice, ScoreBlock]]:
        """Yield some rows at a time with their place, without their targets."""
        whole: Iterator[Tensor]
        if isinstance(self.source, Scores):
            kind = self.source.kind
            whole = (block.values for block in self.source.blocks("prediction sets"))
        else:
            kind, whole = self.kind, iter([self.source.detach()])
        start = 0
        for values in whole:
            values = values.cpu() if values.device.type == "mps" else values  # it has no float64
            for part in row_blocks(len(values), self.num_classes):
                block = ScoreBlock(start, values[part], None, None, kind)
                block.check_units()
                yield slice(start, start + len(block)), block
                start += len(block)

    @property
    def weight(self) -> Tensor | None:
        """Weight of each row (N,)."""
        return self.source.sample_weight if isinstance(self.source, Scores) else self.sample_weight


def first_accepted(scores: Tensor, accepted: Tensor) -> Tensor:
    """Return, of the right classes of each row, given as 0 and 1 (N, C), that which stands first by the order rule."""
    accepted = accepted.to(scores.device).long()
    if not ((accepted == 0) | (accepted == 1)).all():
        raise InvalidValueError(must("target", "say right classes as 0 and 1", "other numbers"))
    if not (accepted.sum(1) > 0).all():
        raise InvalidValueError(must("target", "have a right class in each row", "none in one"))
    first, best = accepted.argmax(1), torch.full_like(accepted[:, 0], scores.shape[1] + 1)
    for label in accepted.any(0).nonzero().flatten():
        rank = count_ahead(scores, label.expand(len(scores)))
        better = (accepted[:, label] == 1) & (rank < best)
        first, best = torch.where(better, label, first), torch.where(better, rank, best)
    return first
