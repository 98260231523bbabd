"""Ranks of targets under a linear head of very many classes, without the scores of all rows and classes at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_choice
from topk_lightning._checks.scores import check_labels
from topk_lightning.ranking import TIES

__all__ = [
    "FeatureCounts",
    "cast_by_autocast",
    "check_head",
    "check_linear",
    "count_from_features",
    "target_rank_from_features",
]

# Classes of a chunk, at least; the last has up to twice as many. Narrower ones are rounded otherwise by some libraries.
_CHUNK = 2048
# Rows at a time, at most: a chunk of them is one product. They are never cut into small parts, which round otherwise.
_ROWS = 4096
# Scores of a block that is compared at once, so that it stays in cache.
_BLOCK = 2**17


def target_rank_from_features(
    features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, *, ties: str = "index"
) -> Tensor:
    r"""Return the rank of each target among the scores ``features @ weight.T + bias``, which are never held as a whole.

    The ranks are those that :func:`topk_lightning.target_rank` gives for ``F.linear(features, weight, bias)``, ties
    and the rounding of the target's own score included: the score that a target is compared by is the one that the
    product of all rows with its chunk of classes gave, which a product of its own would round otherwise. Where a library
    rounds a product of thousands of classes otherwise than a wider one (some do on a GPU), classes within one rounding of the
    target may change places with it.

    One pass over the classes, in chunks of at least 2,048; a second one where very many scores tie with the target's.
    Beside some numbers a row it holds the scores of one chunk of at most 4,096 rows.

    Shape:
        features (…, D), weight (C, D), bias (C,), target (…), to the shape of the target.

    Args:
        features: what the head is given, of a float dtype.
        weight: of the head, in the dtype of the features.
        bias: of the head, or None.
        target: class indices of any integer dtype.
        ties: as in :func:`topk_lightning.target_rank`.

    Returns:
        Ranks in [0, C], int64; C for a target whose score is NaN.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if shapes do not match or a label is out of range.

    Examples:
        >>> head = torch.nn.Linear(8, 100_000)
        >>> features, target = torch.randn(4, 8), torch.tensor([0, 1, 2, 99_999])
        >>> ranks = target_rank_from_features(features, head.weight, head.bias, target)
        >>> torch.equal(ranks, (head(features) > head(features).gather(1, target[:, None])).sum(1))
        True
    """
    check_choice("ties", ties, TIES)
    features, weight, bias = cast_by_autocast(features, weight, bias)
    check_head(features, weight, bias, target)
    counts = count_from_features(features, weight, bias, target)
    return counts.rank(ties)


class FeatureCounts(NamedTuple):
    """How the classes of each row stand to its target: how many score higher, tie with it, and tie at a lower index.

    The target itself is among the tied; one whose score is NaN has all classes ahead and none tied.
    """

    higher: Tensor
    tied: Tensor
    lower: Tensor

    def rank(self, ties: str) -> Tensor:
        """Return the rank by a tie rule of :mod:`topk_lightning.ranking`."""
        if ties == "strict":
            return self.higher + (self.tied - 1).clamp(min=0)
        return self.higher + self.lower if ties == "index" else self.higher


def cast_by_autocast(features: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return features and head in the dtype that ``F.linear`` would take them in where autocast is on."""
    device = features.device.type if isinstance(features, Tensor) else "cpu"
    if not torch.is_autocast_enabled(device):
        return features, weight, bias
    dtype = torch.get_autocast_dtype(device)
    return features.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


def check_head(features: object, weight: object, bias: object, target: object) -> None:
    """Check features (…, D), weight (C, D), bias (C,) or None and labels (…) in [0, C)."""
    rows, weight = check_linear(features, weight, bias)
    if not isinstance(target, Tensor):
        raise InvalidTypeError(must("target", "be a torch.Tensor", type(target).__name__))
    if target.is_floating_point() or target.dtype == torch.bool:
        raise InvalidTypeError(must("target", "hold class indices of an integer dtype", target.dtype))
    if target.shape != rows.shape[:-1]:
        requirement = f"have shape {tuple(rows.shape[:-1])} to match features of shape {tuple(rows.shape)}"
        raise InvalidValueError(must("target", requirement, tuple(target.shape)))
    check_labels(target, len(weight))


def check_linear(features: object, weight: object, bias: object) -> tuple[Tensor, Tensor]:
    """Return features (…, D) and the weight (C, D) of a head that takes them; its bias is (C,) or None."""
    for name, value in (("features", features), ("weight", weight), ("bias", bias)):
        if not isinstance(value, Tensor) and (name != "bias" or value is not None):
            raise InvalidTypeError(must(name, "be a torch.Tensor", type(value).__name__))
    features, weight = cast(Tensor, features), cast(Tensor, weight)
    if not features.is_floating_point():
        raise InvalidTypeError(must("features", "be of a float dtype", features.dtype))
    for name, value in (("weight", weight), ("bias", bias)):
        if isinstance(value, Tensor) and value.dtype != features.dtype:
            raise InvalidTypeError(must(name, f"be of the dtype of the features ({features.dtype})", value.dtype))
    if weight.ndim != 2 or features.ndim == 0 or features.shape[-1] != weight.shape[1]:
        requirement = f"have shape (C, D) to features of shape {tuple(features.shape)}"
        raise InvalidValueError(must("weight", requirement, tuple(weight.shape)))
    if isinstance(bias, Tensor) and bias.shape != weight.shape[:1]:
        raise InvalidValueError(must("bias", f"have shape ({len(weight)},), one a class", tuple(bias.shape)))
    return features, weight


@torch.no_grad()
def count_from_features(features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> FeatureCounts:
    """Return how the classes stand to the target, in the shape of the target: without checks."""
    rows, labels = features.reshape(-1, features.shape[-1]), target.reshape(-1).long()
    # Blocks of about one size: none is small.
    number = max(1, -(-len(rows) // _ROWS))
    blocks = zip(rows.tensor_split(number), labels.tensor_split(number), strict=True)
    parts = [_Head(part, weight, bias).count(label) for part, label in blocks]
    return FeatureCounts(*(torch.cat(counts).view(target.shape) for counts in zip(*parts, strict=True)))


@dataclass(frozen=True)
class _Head:
    """Some rows of features before a head."""

    features: Tensor
    weight: Tensor
    bias: Tensor | None

    def chunks(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the first class of each chunk and its scores, in memory that the next chunk takes over."""
        num_classes = len(self.weight)
        starts = range(0, max(1, num_classes // _CHUNK) * _CHUNK, _CHUNK)
        buffer = self.features.new_empty(len(self.features) * min(num_classes, 2 * _CHUNK - 1))
        for start in starts:
            part = slice(start, num_classes if start == starts[-1] else start + _CHUNK)
            weight = self.weight[part].t()
            out = buffer[: len(self.features) * weight.shape[1]].view(-1, weight.shape[1])
            if self.bias is None:
                yield start, torch.mm(self.features, weight, out=out)
            else:
                yield start, torch.addmm(self.bias[part], self.features, weight, out=out)

    def count(self, label: Tensor) -> FeatureCounts:
        """Count in one pass by bounds of the target's score, and again where these do not decide."""
        low, high = self.bounds(label)
        ahead, target_score, near = torch.zeros_like(label), low.clone(), []
        limit, is_decided = len(label) * 2 * _CHUNK, True
        for start, scores in self.chunks():
            _take_target_scores(target_score, scores, label - start)
            if not is_decided:
                continue
            above, inside = _compare(scores, low, high)
            ahead += above
            rows = inside.nonzero().squeeze(1)
            candidates = scores[rows]
            row, column = ((candidates >= low[rows]) & (candidates <= high[rows])).nonzero(as_tuple=True)
            near.append((rows[row], column + start, candidates[row, column]))
            is_decided = (limit := limit - len(row)) >= 0
        broken = target_score.isnan()
        if not is_decided or not ((low <= target_score) & (target_score <= high) | broken).all():
            return self.count_again(label, target_score)
        row, column, score = (torch.cat(parts) for parts in zip(*near, strict=True))
        of_row = target_score.squeeze(1)[row]
        is_tied = score == of_row
        kinds = (score > of_row, is_tied, is_tied & (column < label[row]))
        higher, tied, lower = (torch.zeros_like(label).index_add_(0, row, kind.long()) for kind in kinds)
        return _without_broken(FeatureCounts(ahead + higher, tied, lower), broken, len(self.weight))

    def count_again(self, label: Tensor, target_score: Tensor) -> FeatureCounts:
        """Count by the target's known score."""
        counts = [torch.zeros_like(label) for _ in FeatureCounts._fields]
        for start, scores in self.chunks():
            column = torch.arange(start, start + scores.shape[1], device=scores.device)
            for part in _row_parts(scores):
                is_tied = scores[part] == target_score[part]
                kinds = (~(scores[part] <= target_score[part]), is_tied, is_tied & (column < label[part].unsqueeze(1)))
                for count, kind in zip(counts, kinds, strict=True):
                    count[part] += kind.sum(1)
        return _without_broken(FeatureCounts(*counts), target_score.isnan(), len(self.weight))

    def bounds(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return between which scores that of the target stands, (M, 1) each, from a product of its own."""
        dtype = torch.promote_types(self.features.dtype, torch.float32)
        features, weight = self.features.to(dtype), self.weight[label].to(dtype)
        score = (features * weight).sum(1, keepdim=True)
        if self.bias is not None:
            score += self.bias[label].unsqueeze(1)
        size = features.norm(dim=1, keepdim=True) * weight.norm(dim=1, keepdim=True)
        eps, of_product = torch.finfo(self.features.dtype).eps, 8 * torch.finfo(score.dtype).eps
        slack = of_product * (size + score.abs()) + eps * score.abs()
        return (score - slack).to(self.features.dtype), (score + slack).to(self.features.dtype)


def _row_parts(scores: Tensor) -> Iterator[slice]:
    step = max(1, _BLOCK // scores.shape[1]) if scores.device.type == "cpu" else max(1, len(scores))
    for start in range(0, len(scores), step):
        yield slice(start, start + step)


def _take_target_scores(target_score: Tensor, scores: Tensor, column: Tensor) -> None:
    """Copy the score of each target (M, 1) whose column stands in these scores."""
    here = ((column >= 0) & (column < scores.shape[1])).unsqueeze(1)
    gathered = scores.gather(1, column.clamp(0, scores.shape[1] - 1).unsqueeze(1))
    target_score.copy_(torch.where(here, gathered, target_score))


def _compare(scores: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many scores of each row are not at most `high`, NaN among them, and how many are from `low` to `high`."""
    counts = torch.empty(2, len(scores), dtype=torch.float32, device=scores.device)
    mask = None
    for part in _row_parts(scores):
        block = scores[part]
        mask = torch.empty_like(block) if mask is None else mask
        torch.sum(torch.le(block, high[part], out=mask[: len(block)]), 1, dtype=torch.float32, out=counts[0, part])
        torch.sum(torch.lt(block, low[part], out=mask[: len(block)]), 1, dtype=torch.float32, out=counts[1, part])
    at_most, below = counts.long()
    return scores.shape[1] - at_most, at_most - below


def _without_broken(counts: FeatureCounts, broken: Tensor, num_classes: int) -> FeatureCounts:
    broken = broken.squeeze(1)
    higher = counts.higher.masked_fill(broken, num_classes)
    return FeatureCounts(higher, *(count.masked_fill(broken, 0) for count in counts[1:]))
