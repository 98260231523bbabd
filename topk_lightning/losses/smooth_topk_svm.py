"""The smooth top-k SVM loss, exact at every temperature and scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from topk_lightning._checks.losses import check_at_least_zero, check_temperature, refuse_second_derivative
from topk_lightning._checks.options import check_choice
from topk_lightning.losses._base import ClassificationLoss, check_optional_k, loss_function, settle_k
from topk_lightning.losses._symmetric import gradient, polynomials
from topk_lightning.relaxations.rows import (
    all_finite,
    bounded,
    detached_under_no_grad,
    joined,
    largest,
    row_blocks,
    small_dtype,
)

__all__ = ["SmoothTopKSVMLoss", "smooth_topk_svm_loss"]

UNITS = ("logits", "published")
# Up to this k the power sums of float32 scores are summed in float32.
_FEW = 5


class SmoothTopKSVMLoss(ClassificationLoss):
    r"""Smooth multiclass top-k SVM loss, in units of the logits.

    With s the logits, y the target, t the temperature, a the margin and E_i the i-th elementary symmetric polynomial
    of the numbers exp(s_j / t), j ≠ y, a row costs

    .. math:: t \log\Big(1 + e^{(a - s_y)/t} \frac{E_k}{E_{k-1}}\Big) \in [0, \infty).

    k = 1, a = 0, t = 1 is cross entropy; t → 0 is max(0, a + s_{∖y,[k]} − s_y), with s_{∖y,[k]} the k-th largest
    competitor. Pull and reach are those of cross entropy, so its learning rate fits. Smooth everywhere, and every class
    has a gradient. A target that fewer than k unmasked competitors stand against (always at k = C) is in the top k
    whatever happens, and costs 0. It has no second derivative: asking for one is an error.

    The paper takes means over k scores: its L(t, a) is this loss at temperature k·t and margin k·a, divided by k. So it
    pulls with 1/k and asks for logits k times as large; k moves its units.

    Args:
        k: how many guesses are allowed, 1 ≤ k ≤ C; None for the largest of 1, 3, 5 below C. Beside one pass over the
            logits for each, a row costs k · 2k operations: meant for k up to about 100.
        temperature: t > 0, in units of the logits; larger is smoother.
        margin: a ≥ 0, in units of the logits.
        units: "logits", or "published" for the paper's form, with temperature and margin in units of the mean of k
            logits.

    Examples:
        Four equal classes, k = 2, no margin: of the three competitors E_2 = 3 and E_1 = 3, so log(1 + 3/3).

        >>> import torch
        >>> loss = SmoothTopKSVMLoss(k=2, margin=0.0)
        >>> loss(torch.zeros(1, 4), torch.tensor([3])).exp()
        tensor(2.)

    Source:
        Berrada, Zisserman, Kumar, ICLR 2018, arXiv:1802.07595, equation (10), which is ``units="published"``. The
        authors switch to the hard loss where their arithmetic fails; this one does not fail.
    """

    def __init__(
        self,
        k: int | None = None,
        *,
        temperature: float = 1.0,
        margin: float = 1.0,
        units: str = "logits",
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_optional_k(k)
        self.temperature = check_temperature(temperature)
        self.margin = check_at_least_zero("margin", margin)
        self.units = check_choice("units", units, UNITS)

    @property
    def units_hold_k(self) -> bool:
        """Whether a change of k changes the units too, as in the published form: a schedule then moves both."""
        return self.units == "published"

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        k = settle_k(self.k, logits.shape[1])
        # The kernel measures in means of k logits.
        unit = 1 if check_choice("units", self.units, UNITS) == "published" else k
        temperature = check_temperature(self.temperature) / unit
        margin = check_at_least_zero("margin", self.margin) / unit
        if k == logits.shape[1]:
            target_logit = logits.gather(1, target.unsqueeze(1)).squeeze(1)
            return torch.where(target_logit.isnan(), target_logit, 0)
        logits = detached_under_no_grad(logits)
        losses: Tensor = _SmoothTopKSVM.apply(logits, target, k, temperature, margin, unit)
        return losses


class _SmoothTopKSVM(torch.autograd.Function):
    """The loss of each row; `_symmetric` has the mathematics. Keeps one tensor of the size of the logits."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, k: int, temperature: float, margin: float, unit: int
    ) -> Tensor:
        target = target.unsqueeze(1)
        # From 2k − 2 leaders on the gradient of the rest is well conditioned.
        num_leaders = min(max(2 * k - 2, k + 1), logits.shape[1] - 1)
        rest = logits.scatter(1, target, -torch.inf)
        # Which of equal scores is named does not matter: value and gradient are the same for each.
        values, leaders = largest(rest, num_leaders)
        finite = all_finite(values)
        sums = _to_rest(rest, leaders, bounded(values[:, -1:], finite), k, temperature)
        # Side by side, so that they are turned and widened in one copy.
        few = torch.cat([values, logits.gather(1, target), *sums], 1).T
        few = few.to(small_dtype(logits), memory_format=torch.contiguous_format).contiguous()
        z, power_sums = few.split_with_sizes([num_leaders + 1, k])
        # In units of k t above the k-th competitor; the last is the target.
        kth = z[k - 1]
        settled = None if finite else kth == -torch.inf
        z = (z - (kth if settled is None else kth.masked_fill(settled, 0))).div_(k * temperature)
        quotient, p = polynomials(z[:-1], power_sums)
        odds = quotient.sub_(z[-1]).add_(margin / temperature)
        if settled is not None:
            odds.masked_fill_(settled, -torch.inf)
        # From 40 on softplus is the identity to the last digit.
        losses = F.softplus(odds, threshold=40).mul_(unit * temperature).to(logits.dtype)
        if ctx.needs_input_grad[0]:
            share = odds.sigmoid_()
            if unit != k:
                share.mul_(unit / k)
            by_leaders, coefficients = gradient(p, share)
            coefficients = coefficients.to(rest.dtype)
            if k > _FEW:  # those of high powers underflow, and such numbers are slow in all that they go through
                coefficients = F.hardshrink(coefficients, torch.finfo(rest.dtype).tiny)
            _times_polynomial(rest, coefficients.unsqueeze(2).unbind())
            rest.scatter_(1, leaders, by_leaders.T.to(rest.dtype))
            # Last, since a row with fewer competitors than leaders names the target among them.
            rest.scatter_(1, target, share.neg_().to(rest.dtype).unsqueeze(1))
            ctx.save_for_backward(rest)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        refuse_second_derivative()
        (gradient_of_rows,) = ctx.saved_tensors
        return gradient_of_rows * grad.unsqueeze(1), None, None, None, None, None


def _to_rest(scores: Tensor, leaders: Tensor, reference: Tensor, k: int, temperature: float) -> list[Tensor]:
    """Turn scores into e_j = exp((s_j − reference) / (k t)), 0 for `leaders`; return Σ_j e_j^r, r = 1 … k, (N, 1) each."""
    sums = []
    # Numbers that underflow are slow. Those left out are below the last digit of the leaders, which are at least 1.
    many = k > _FEW
    floor = 1e-75 if many else torch.finfo(scores.dtype).tiny ** (1 / k)
    for e, of_leaders, highest in row_blocks(scores, leaders, reference):
        e.sub_(highest).mul_(1 / (k * temperature)).exp_().scatter_(1, of_leaders, 0)
        # The larger k, the more of the sums' digits Newton's identities cancel.
        e = e.to(small_dtype(e)) if many else e
        of_block = [e.sum(1, keepdim=True)]
        power = torch.threshold(e, floor, 0.0)
        for r in range(2, k + 1):
            of_block.append(power.mul_(e).sum(1, keepdim=True))
            if r % 4 == 0 and many:
                torch.threshold_(power, 1e-100, 0.0)
        sums.append(of_block)
    return [joined(of_power) for of_power in zip(*sums, strict=True)]


def _times_polynomial(numbers: Tensor, coefficients: Sequence[Tensor]) -> None:
    """Turn each number e of (N, C) into Σ_q c_q e^q, q = 1 … k, with the coefficients of its row, (N, 1) each."""
    for e, *c in row_blocks(numbers, *coefficients):
        if len(c) == 1:
            e.mul_(c[0])
            continue
        # Two operands that are the same along a row would keep one operation from being vectorised on a CPU.
        value = (e * c[-1]).add_(c[-2])
        for coefficient in reversed(c[:-2]):
            torch.addcmul(coefficient, value, e, out=value)
        e.mul_(value)


smooth_topk_svm_loss = loss_function(SmoothTopKSVMLoss)
