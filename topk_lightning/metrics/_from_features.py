"""Counting from features and a linear head, whose scores are never held as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_k
from topk_lightning._checks.scores import check_weights
from topk_lightning.feature_ranks import cast_by_autocast, check_head, count_from_features
from topk_lightning.metrics._counting import Counting, Counts, wide_dtype
from topk_lightning.metrics._exact import ExactMetric

__all__ = ["CountsFeatures", "count_features"]


class CountsFeatures(ExactMetric):
    """A metric whose batches may be given as features and a linear head."""

    counting: Counting

    def update_from_features(
        self,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Count a batch of features (…, D) and labels (…) under a head (C, D) of very many classes.

        The counts are those of ``update(F.linear(features, weight, bias), target, sample_weight)`` for features (N, D),
        whose scores are never held as a whole: see :func:`topk_lightning.target_rank_from_features`.
        """
        self.add(count_features(self.counting, features, weight, bias, target, sample_weight)._asdict())
        self._computed = None
        self._update_count += 1


def count_features(
    counting: Counting,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    sample_weight: Tensor | None,
) -> Counts:
    """Check a batch of features and a head, and count it as its scores would be."""
    kept = None
    if counting.ignore_index is not None and isinstance(target, Tensor) and not target.is_floating_point():
        kept = target.long() != counting.ignore_index
        target = torch.where(kept, target.long(), 0)
    features, weight, bias = cast_by_autocast(features, weight, bias)
    check_head(features, weight, bias, target)
    num_classes = len(weight)
    if counting.fits:
        check_k(counting.max_k, num_classes)
    if counting.num_classes not in (None, num_classes):
        raise InvalidValueError(
            must("num_classes", f"be the number of classes of the head ({num_classes})", counting.num_classes)
        )
    if sample_weight is not None:
        if kept is not None and sample_weight.shape == kept.shape:
            sample_weight = torch.where(kept, sample_weight, 0)
        check_weights(sample_weight, target.shape)
    ranks = count_from_features(features, weight, bias, target)
    flat, kept = target.reshape(-1).long(), None if kept is None else kept.reshape(-1)
    if sample_weight is None and counting.ties != "expected":
        rank = ranks.rank(counting.ties).reshape(-1).clamp(max=counting.max_k)
        return Counts(counting.whole(rank, flat, kept), None)
    ahead = ranks.higher if counting.ties == "expected" else ranks.rank(counting.ties)
    credit = counting.credit(ahead.reshape(-1), ranks.tied.reshape(-1))
    wide = wide_dtype(credit.device)
    row_weight = torch.ones_like(credit[:, 0]) if sample_weight is None else sample_weight.reshape(-1).to(wide)
    return Counts(None, counting.fractional(credit, flat, row_weight if kept is None else row_weight * kept))
