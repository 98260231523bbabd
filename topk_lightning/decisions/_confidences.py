"""What a review is decided by: how sure a classifier is of its first guess and of its k best, and whether it is right."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.ranking import topk_indices
from topk_lightning.scores import Scores

__all__ = ["Confidences", "as_scores", "confidences", "confidences_up_to", "labels_alike"]


class Confidences(NamedTuple):
    """How sure a classifier is of N images.

    Attributes:
        first: probability of the first guess (N,), float64; −1 where a score is no number, so that nothing rests on it.
        best: sum of the probabilities of the k best (N,), float64; −1 likewise.
        rank: how many classes stand ahead of the right one (N,); −1 where it is not known.
    """

    first: Tensor
    best: Tensor
    rank: Tensor

    @property
    def wrong(self) -> Tensor:
        """Whether the first guess is wrong (N,)."""
        return self.missed(1)

    def missed(self, k: int) -> Tensor:
        """Whether the right class is not among the k best (N,)."""
        return self.rank >= k


def as_scores(scores: Any, target: Any = None, kind: str = "logits") -> Scores:
    """Return scores that are given as such, or as an array with a target.

    Raises:
        ValueError: a target beside scores that have their own.
    """
    if not isinstance(scores, Scores):
        return Scores(scores, target, kind=kind)
    if target is not None:
        raise InvalidValueError(must("target", "be left out beside Scores, which hold it", "one"))
    return scores


def labels_alike(scores: Scores, question: str) -> Tensor:
    """Return the class of each image, for a question that counts all images alike.

    Raises:
        ValueError: weights of samples, which would be lost; no target.
    """
    if scores.sample_weight is not None:
        raise InvalidValueError(must("scores", f"count all images alike for {question}", "weights of samples"))
    return scores.labels(question)


def confidences(scores: Scores, k: int, question: str = "a review plan") -> Confidences:
    """Return how sure a classifier is of each image; the probabilities are made in float64."""
    return confidences_up_to(scores, k, question)[-1]


def confidences_up_to(scores: Scores, most: int, question: str = "a review plan") -> list[Confidences]:
    """Return the same for k = 1, …, `most`, from one reading of the scores."""
    parts = []
    for block in scores.blocks(question):
        probability = block.log_probabilities().exp().gather(1, topk_indices(block.values, most))
        broken = ~probability.isfinite().all(1, keepdim=True)
        parts.append(probability.cumsum(1).masked_fill(broken, -1))
    rank = torch.full((len(scores),), -1) if scores.target is None else scores.target_ranks()
    sums = torch.cat(parts)
    return [Confidences(sums[:, 0], sums[:, number], rank) for number in range(most)]
