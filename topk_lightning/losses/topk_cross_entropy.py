"""Cross entropy of "the target is among the k best", with k drawn at random."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import check_temperature, reads_values
from topk_lightning._checks.relaxations import check_k_probabilities, check_num_candidates, check_relaxation
from topk_lightning.losses._base import ClassificationLoss, reduce_rows
from topk_lightning.losses._stable import log_share
from topk_lightning.relaxations import RELAXATIONS, Relaxation, softsort
from topk_lightning.relaxations._ranked import ranked

__all__ = ["TopKCrossEntropyLoss", "topk_cross_entropy_loss"]


def topk_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    k_probabilities: Sequence[float] = (0.2, 0.2, 0.2, 0.2, 0.2),
    *,
    temperature: float = 2.0,
    num_candidates: int | None = 16,
    relaxation: str | Relaxation = softsort,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    class_dim: int = 1,
) -> Tensor:
    r"""Return minus the logarithm of the target's soft chance to be among the k best, averaged over k.

    With P(k) the k_probabilities and Π the soft permutation of the candidates at temperature t (row r says which
    class stands at rank r), a row costs

    .. math:: -\log\Big(P(1) \,\mathrm{softmax}_y(s) + \sum_{k \ge 2} P(k) \sum_{r \le k} Π_{r y}\Big).

    The softmax stands in for k = 1, at temperature 1 and over the same candidates: the target and the
    num_candidates − 1 largest others. k_probabilities (1,) with all classes as candidates is cross entropy. As t → 0
    the ranks become hard: −log(P(1)·softmax_y + Σ P(k)) over the k ≥ 2 that reach the target.

    The whole chain is in logarithms, without a floor, so the gradient of a confident mistake does not vanish. SoftSort's
    and NeuralSort's columns can sum to more than 1, so the loss can fall below 0: it ranges from −log K (K the largest
    k), and a target in the midst of several close scores may gain from staying there. Sorting networks keep it at
    0 or above; they depend on the wire a class starts on, so the target starts on each wire in turn and the mean counts.
    A term whose k exceeds the number of unmasked competitors is 1 whatever happens, so a row
    that is all masked costs 0.

    Shape:
        As :func:`torch.nn.functional.cross_entropy`: logits (N, C), (N, C, d1, …) or (C,), target (N,), (N, d1, …) or
        (), or a float target of the shape of the logits.

    Args:
        logits: unnormalised scores of a float dtype.
        target: class indices, or a distribution over classes.
        k_probabilities: P(1), P(2), …, P(K): at least 0, summing to 1, with K ≤ C.
        temperature: t > 0 of the relaxation; larger is smoother. In units of the logits (NeuralSort: of their
            differences times the number of candidates).
        num_candidates: how many classes are ranked, more than K; None for all.
        relaxation: a function of :mod:`topk_lightning.relaxations`, or its name: "softsort", "neuralsort",
            "odd_even_network", "bitonic_network", "cauchy_odd_even_network", "cauchy_bitonic_network". All C classes
            with a network need memory C² a row.
        weight: one weight ≥ 0 a class.
        ignore_index: class indices of this value count nothing.
        reduction: "mean" (divides by the weight of all rows), "sum" or "none".
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        The loss in [−log K, ∞), a scalar or one value a row.

    Raises:
        TypeError: if a type or dtype is wrong.
        ValueError: if K > C, or an option, a shape or a label is out of range.

    Examples:
        Four equal logits: each is among the two best with chance 2/4.

        >>> import torch
        >>> topk_cross_entropy_loss(torch.zeros(1, 4), torch.tensor([3]), (0.0, 1.0)).neg().exp()
        tensor(0.5000)

    Source:
        Petersen, Kuehne, Borgelt, Deussen, ICML 2022, arXiv:2206.07290. Their code adds a floor of 1e-7
        inside the logarithm, and starts the target on the first wire of a network.
    """
    probabilities = check_k_probabilities(k_probabilities)
    temperature = check_temperature(temperature)
    count = check_num_candidates(num_candidates, len(probabilities))
    soft_permutation = check_relaxation(relaxation, RELAXATIONS)

    def rows(logits: Tensor, target: Tensor) -> Tensor:
        check_k_probabilities(probabilities, logits.shape[1])
        dtype, (logits, target) = logits.dtype, _candidates(logits, target, count)
        number = _number_of_unmasked(logits)
        # A row that is all masked costs 0, by the factors below; a softmax of it would be NaN.
        empty = number == 0
        if not reads_values(logits) or empty.any():
            logits = logits.masked_fill(empty.unsqueeze(1), 0)
        log_softmax = log_share(logits, target.unsqueeze(1))
        log_rows = soft_permutation(logits, len(probabilities), temperature=temperature, column=target)
        terms = torch.cat([log_softmax, log_rows, torch.zeros_like(log_softmax)], 1)
        masked = (log_softmax.squeeze(1) == -math.inf) | empty
        factors = torch.tensor(_log_factors(probabilities), device=terms.device, dtype=terms.dtype)
        terms = terms + factors[(number + masked).clamp(max=len(factors) - 1)]
        # A masked target that no k reaches costs +inf, with the gradient of cross entropy.
        lost = masked & (terms[:, -1] == -math.inf)
        log_chance = terms.masked_fill(lost.unsqueeze(1), 0).logsumexp(1)
        return (0 - torch.where(lost, log_softmax.squeeze(1), log_chance)).to(dtype)

    return reduce_rows(
        rows, logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim
    )


def _candidates(logits: Tensor, target: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """Return the target and the count − 1 largest others, falling, and where the target stands among them."""
    if count is None or count >= logits.shape[1]:
        return logits, target
    own = target.unsqueeze(1)
    others = ranked(logits.scatter(1, own, -math.inf), count - 1)
    return torch.cat([logits.gather(1, own), others], 1), torch.zeros_like(target)


def _number_of_unmasked(logits: Tensor) -> Tensor:
    """Return how many classes of each row are not −∞, (M,)."""
    if reads_values(logits) and logits.amin() > -math.inf:  # one pass instead of three
        return torch.full(logits.shape[:1], logits.shape[1])
    return (logits != -math.inf).sum(1)


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


class TopKCrossEntropyLoss(ClassificationLoss):
    """Apply :func:`topk_cross_entropy_loss`, which has the formula and the arguments.

    Examples:
        >>> import torch
        >>> loss = TopKCrossEntropyLoss(k_probabilities=(0.0, 1.0), relaxation="neuralsort")
        >>> loss(torch.zeros(1, 4), torch.tensor([3])).neg().exp()
        tensor(0.5000)
    """

    options = ("k_probabilities", "temperature", "num_candidates", "relaxation")

    def __init__(
        self,
        k_probabilities: Sequence[float] = (0.2, 0.2, 0.2, 0.2, 0.2),
        *,
        temperature: float = 2.0,
        num_candidates: int | None = 16,
        relaxation: str | Relaxation = softsort,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k_probabilities = check_k_probabilities(k_probabilities)
        self.temperature = check_temperature(temperature)
        self.num_candidates = check_num_candidates(num_candidates, len(self.k_probabilities))
        check_relaxation(relaxation, RELAXATIONS)
        self.relaxation = relaxation

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return topk_cross_entropy_loss(
            logits,
            target,
            self.k_probabilities,
            temperature=self.temperature,
            num_candidates=self.num_candidates,
            relaxation=self.relaxation,
            **self.shared,
        )
