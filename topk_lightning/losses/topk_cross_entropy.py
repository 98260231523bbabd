"""Cross entropy of "the target is among the k best", with k drawn at random."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import check_temperature, reads_values
from topk_lightning._checks.options import check_choice, check_integer, check_number
from topk_lightning.losses._base import ClassificationLoss, loss_function, settle_k
from topk_lightning.losses._stable import log_share
from topk_lightning.relaxations import RELAXATIONS, Relaxation, softsort
from topk_lightning.relaxations.ranked import ranked
from topk_lightning.relaxations.rows import all_finite, kept

__all__ = ["TopKCrossEntropyLoss", "topk_cross_entropy_loss"]

TOP1_MODES = ("sm", "smce")


class TopKCrossEntropyLoss(ClassificationLoss):
    r"""Minus the logarithm of the target's soft chance to be among the k best, averaged over k.

    With P(k) the k_probabilities and Π the soft permutation of the candidates at temperature t (row r says which
    class stands at rank r), a row costs

    .. math:: -\log\Big(P(1) \,\mathrm{softmax}_y(s) + \sum_{k \ge 2} P(k) \sum_{r \le k} Π_{r y}\Big).

    The softmax stands in for k = 1, at temperature 1 and over the same candidates: the target and the
    num_candidates − 1 largest others. k_probabilities (1,) with all classes as candidates is cross entropy. As t → 0
    the ranks become hard: −log(P(1)·softmax_y + Σ P(k)) over the k ≥ 2 that reach the target.

    With ``top1_mode="smce"`` cross entropy stands beside the logarithm, not inside, and the other k count as drawn
    from 2 on:

    .. math:: -P(1) \log \mathrm{softmax}_y(s)
              - (1 - P(1)) \log \sum_{k \ge 2} \frac{P(k)}{1 - P(1)} \sum_{r \le k} Π_{r y}.

    The whole chain is in logarithms, without a floor, so the gradient of a confident mistake does not vanish. SoftSort's
    and NeuralSort's columns can sum to more than 1, so the loss can fall below 0: it ranges from −log K (K the largest
    k), and a target in the midst of several close scores may gain from staying there. A target that ties with others
    has the gradient of one just behind them, so it is pulled. A term whose k exceeds the number of unmasked competitors
    is 1 whatever happens, so a row that is all masked costs 0.

    Its authors fine-tune with the defaults, and train from a random start with all classes at a high temperature:
    ``TopKCrossEntropyLoss(temperature=16, num_candidates=None, top1_mode="smce")``.

    Args:
        k_probabilities: P(1), P(2), …, P(K): at least 0, summing to 1, with K ≤ C. None for equal ones, with K the
            largest of 1, 3, 5 below the number of candidates.
        temperature: t > 0 of the relaxation; larger is smoother. In units of the logits (NeuralSort: of their
            differences times the number of candidates).
        num_candidates: how many classes are ranked, more than K; None for all.
        relaxation: a function of :mod:`topk_lightning.relaxations`, or its name: "softsort", "neuralsort".
        top1_mode: "sm" or "smce", how k = 1 enters.

    Examples:
        Four equal logits: each is among the two best with chance 2/4.

        >>> import torch
        >>> loss = TopKCrossEntropyLoss(k_probabilities=(0.0, 1.0))
        >>> loss(torch.zeros(1, 4), torch.tensor([3])).neg().exp()
        tensor(0.5000)

    Source:
        Petersen, Kuehne, Borgelt, Deussen, ICML 2022, arXiv:2206.07290. Their code adds a floor of 1e-7
        inside the logarithm, and under "smce" the constant −(1 − P(1)) log(1 − P(1)).
    """

    def __init__(
        self,
        k_probabilities: Sequence[float] | None = None,
        *,
        temperature: float = 2.0,
        num_candidates: int | None = 16,
        relaxation: str | Relaxation = softsort,
        top1_mode: str = "sm",
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k_probabilities = None if k_probabilities is None else _check_k_probabilities(k_probabilities)
        self.temperature = check_temperature(temperature)
        self.num_candidates = _check_num_candidates(num_candidates, len(self.k_probabilities or (1,)))
        _check_relaxation(relaxation, RELAXATIONS)
        self.relaxation = relaxation
        self.top1_mode = check_choice("top1_mode", top1_mode, TOP1_MODES)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        probabilities = self._k_probabilities(logits.shape[1])
        largest_k, temperature = len(probabilities), check_temperature(self.temperature)
        soft_permutation = _check_relaxation(self.relaxation, RELAXATIONS)
        beside = check_choice("top1_mode", self.top1_mode, TOP1_MODES) == "smce"
        count = _check_num_candidates(self.num_candidates, largest_k)
        dtype, (logits, target) = logits.dtype, _candidates(logits, target, count)
        number = _number_of_unmasked(logits)
        # A row that is all masked costs 0, by the factors below; a softmax of it would be NaN.
        empty = number == 0
        if not reads_values(logits) or empty.any():
            logits = logits.masked_fill(empty.unsqueeze(1), 0)
        log_softmax = log_share(logits, target.unsqueeze(1))
        if beside and probabilities[0] == 1:
            return (0 - log_softmax.squeeze(1).masked_fill(empty, 0)).to(dtype)
        log_rows = soft_permutation(logits, largest_k, temperature=temperature, column=target)
        terms = torch.cat([log_softmax, log_rows, torch.zeros_like(log_softmax)], 1)
        masked = (log_softmax.squeeze(1) == -math.inf) | empty
        first, rest = probabilities[0], 1 - probabilities[0]
        inside = (0.0, *(p / rest for p in probabilities[1:])) if beside else probabilities
        factors = _factors(inside, terms.dtype, terms.device)
        terms = terms + factors[(number + masked).clamp(max=len(factors) - 1)]
        log_softmax = log_softmax.squeeze(1)
        if reads_values(logits) and not masked.any():
            log_chance = terms.logsumexp(1)
        else:
            # A masked target that no k reaches costs +inf, with the gradient of cross entropy.
            underflows = masked & (terms[:, -1] == -math.inf)
            log_chance = terms.masked_fill(underflows.unsqueeze(1), 0).logsumexp(1)
            log_chance = torch.where(underflows, log_softmax, log_chance)
        if beside:
            log_chance = rest * log_chance
            if first:
                log_chance = log_chance + first * log_softmax.masked_fill(empty, 0)
        return (0 - log_chance).to(dtype)

    def _k_probabilities(self, num_classes: int) -> tuple[float, ...]:
        if self.k_probabilities is not None:
            return _check_k_probabilities(self.k_probabilities, num_classes)
        largest_k = settle_k(None, min(num_classes, self.num_candidates or num_classes))
        return (1 / largest_k,) * largest_k


def _candidates(logits: Tensor, target: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """Return the target and the count − 1 largest others, falling, and where the target stands among them."""
    if count is None or count >= logits.shape[1]:
        return logits, target
    target_column = target.unsqueeze(1)
    others = ranked(logits.scatter(1, target_column, -math.inf), count - 1)
    return torch.cat([logits.gather(1, target_column), others], 1), torch.zeros_like(target)


def _number_of_unmasked(logits: Tensor) -> Tensor:
    """Return how many classes of each row are not −∞, (M,)."""
    if all_finite(logits):  # one pass instead of three
        return torch.full(logits.shape[:1], logits.shape[1])
    return (logits != -math.inf).sum(1)


@kept
def _factors(probabilities: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(_log_factors(probabilities), dtype=dtype, device=device)


def _log_factors(probabilities: Sequence[float]) -> list[list[float]]:
    """Return the log factors of the softmax, of the ranks 1 … K and of 1, for the target among 0 … K + 1 classes.

    Rank r counts for every k ≥ r, beginning with 2; from k = the number of classes on the target is in for certain.
    """
    largest_k = len(probabilities)

    def log_sum(start: int, stop: int) -> float:
        total = sum(probabilities[max(start, 1) - 1 : max(stop, 1) - 1])
        return math.log(total) if total > 0 else -math.inf

    return [
        [log_sum(1, min(n, 2)), *(log_sum(max(r, 2), n) for r in range(1, largest_k + 1)), log_sum(n, largest_k + 1)]
        for n in range(largest_k + 2)
    ]


def _check_relaxation(
    relaxation: Callable[..., Tensor] | str, known: Mapping[str, Callable[..., Tensor]]
) -> Callable[..., Tensor]:
    """Return the function that `relaxation` is or names: one of `known`, or a dotted path as a yaml file holds it."""
    if not isinstance(relaxation, str):
        if not callable(relaxation):
            raise InvalidTypeError(must("relaxation", "be a function or the name of one", repr(relaxation)))
        return relaxation
    name = relaxation.rpartition(".")[2] if relaxation.startswith("topk_lightning.relaxations.") else relaxation
    function = known.get(name) or _function_at(relaxation)
    if function is None:
        raise InvalidValueError(must("relaxation", "be a function or one of " + ", ".join(known), repr(relaxation)))
    return function


def _function_at(path: str) -> Callable[..., Tensor] | None:
    """Return the function at a dotted path, ``package.module.function``, or None."""
    try:
        function = pkgutil.resolve_name(path) if "." in path else None
    except (ImportError, AttributeError, ValueError):
        return None
    return function if callable(function) else None


def _check_k_probabilities(probabilities: Iterable[Any], num_classes: int | None = None) -> tuple[float, ...]:
    """Return P(1), …, P(K) as floats of at least 0 that sum to 1, with K ≤ C."""
    if isinstance(probabilities, str) or not isinstance(probabilities, Iterable):
        raise InvalidTypeError(must("k_probabilities", "be a sequence of numbers", repr(probabilities)))
    values = tuple(check_number("k_probabilities", value, "hold finite numbers") for value in probabilities)
    if any(value < 0 for value in values) or abs(sum(values) - 1) > 1e-6:
        raise InvalidValueError(must("k_probabilities", "be at least 0 and sum to 1", values))
    if num_classes is not None and len(values) > num_classes:
        requirement = f"hold at most one number a class ({num_classes})"
        raise InvalidValueError(must("k_probabilities", requirement, len(values), "Leave out the largest k."))
    return values


def _check_num_candidates(num_candidates: int | None, largest_k: int) -> int | None:
    """Return `num_candidates` as an int above `largest_k`, or None."""
    if num_candidates is None:
        return None
    value = check_integer("num_candidates", num_candidates)
    if value <= largest_k:
        requirement = f"be more than the number of k_probabilities ({largest_k}), or None for all classes"
        raise InvalidValueError(must("num_candidates", requirement, value))
    return value


topk_cross_entropy_loss = loss_function(TopKCrossEntropyLoss)
