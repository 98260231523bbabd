"""The calibrated top-k hinge loss, smoothed by ranking noisy scores; margins for imbalanced classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import check_at_least_zero, check_temperature
from topk_lightning._checks.options import check_integer, check_positive
from topk_lightning.losses._base import (
    ClassificationLoss,
    check_optional_k,
    float_tensor,
    loss_function,
    settle_k,
)
from topk_lightning.losses._class_counts import check_class_counts
from topk_lightning.losses._stable import hinge
from topk_lightning.losses.calibrated_topk_hinge import best_and_bar, gap_to
from topk_lightning.relaxations.rows import largest

__all__ = ["NoisedTopKHingeLoss", "imbalanced_margins", "noised_topk_hinge_loss"]

# Noise that is drawn at once, at most, beyond one number a score: it stays in cache.
_DRAWN = 2**17


def imbalanced_margins(class_counts: Tensor | Sequence[int], max_margin: float = 1.0) -> Tensor:
    r"""Return a margin for each class that is larger the rarer the class.

    With n_c the images of class c, m_c = max_margin · (n_c / min n)^(−1/4): the rarest class has `max_margin`.

    Args:
        class_counts: training images per class, each at least 1, (C,).
        max_margin: the largest margin, > 0, in units of the logits.

    Returns:
        Margins in (0, max_margin], float32, (C,).

    Raises:
        TypeError: if the counts are no whole numbers.
        ValueError: if a count is below 1, or `max_margin` is not above 0.

    Examples:
        A class with 16 times the images has half the margin.

        >>> imbalanced_margins([160, 10])
        tensor([0.5000, 1.0000])

    Source:
        Cao et al., NeurIPS 2019, arXiv:1906.07413 (LDAM), section 3; used by Garcin et al., ICML 2022.
    """
    counts = check_class_counts(class_counts)
    return check_positive("max_margin", max_margin) * (counts.double() / counts.min()).pow(-1 / 4).float()


class NoisedTopKHingeLoss(ClassificationLoss):
    r"""Hinge between the target and the expected best noisy class outside the top k; without noise in eval mode.

    With s the logits, y the target, m the margins (1 by default), σ the noise, Z_b standard normal vectors and
    x_[k+1] the (k + 1)-th largest of all C entries of x, a row costs

    .. math:: \text{scale} \cdot \max\Big(0, m_y + \frac1B \sum_{b=1}^B (s + σ Z_b)_{[k+1]} - s_y\Big) \in [0, \infty),

    and 0 at k = C. σ → 0 is :class:`~topk_lightning.losses.CalibratedTopKHingeLoss`. The gradient reaches the classes
    that come out (k + 1)-th in some sample, at most B of a row. Where k is close to C, the noise of the (k + 1)-th is
    below 0 on average, and would switch the loss off among equal classes; so its mean counts from 0 up.

    Args:
        k: how many guesses are allowed, 1 ≤ k ≤ C; None for the largest of 1, 3, 5 below C.
        noise: σ ≥ 0, in units of the logits; 0 ranks the logits themselves.
        num_samples: B ≥ 1. Time grows with it, memory does not. Each class of a soft target draws its own noise.
        margins: one margin a class, (C,), as :func:`imbalanced_margins` makes them.
        scale: factor > 0.
        generator: source of the noise, for repeatable values, on the device of the logits; not inside
            ``torch.compile``.

    Examples:
        Without noise, k = 1: the second largest of 5, 3, 0 is 3, so target 1 costs 1 + 3 − 3.

        >>> import torch
        >>> loss = NoisedTopKHingeLoss(k=1, generator=torch.Generator().manual_seed(0)).eval()
        >>> loss(torch.tensor([[5.0, 3.0, 0.0]]), torch.tensor([1]))
        tensor(1.)

    Source:
        Garcin et al., ICML 2022, arXiv:2202.02193, "Stochastic smoothing of the top-k calibrated hinge loss for deep
        imbalanced classification". Their mean noise counts below 0 too.
    """

    margins: Tensor | None

    def __init__(
        self,
        k: int | None = None,
        *,
        noise: float = 1.0,
        num_samples: int = 5,
        margins: Tensor | Sequence[float] | None = None,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)
        self.k = check_optional_k(k)
        self.noise = check_at_least_zero("noise", noise)
        self.num_samples = check_integer("num_samples", num_samples)
        self.register_buffer("margins", None if margins is None else float_tensor(margins))
        self.scale = check_positive("scale", scale)
        self.generator = generator

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row."""
        num_classes = logits.shape[1]
        k, noise = settle_k(self.k, num_classes), check_at_least_zero("noise", self.noise)
        target, label = target.unsqueeze(1), target
        if k == num_classes:
            target_logit = logits.gather(1, target).squeeze(1)
            return torch.where(target_logit.isnan(), target_logit, 0)
        margin = 1.0 if self.margins is None else _check_margins(self.margins, num_classes).to(logits)[label]
        best, bar = best_and_bar(logits.detach(), target, k)
        if noise == 0 or not self.training:
            gap = gap_to(bar, logits, target)
        else:
            places, drawn = self._draw(logits.detach(), k, noise)
            gap = gap_to(places, logits, target) + drawn.mean(1).clamp(min=0)
        return check_temperature(self.scale, "scale") * hinge(margin, gap, best)

    def _draw(self, scores: Tensor, k: int, noise: float) -> tuple[Tensor, Tensor]:
        """Return which class comes out (k + 1)-th in each sample, and its noise, both (M, B).

        Small batches are drawn several samples at once, large ones in a buffer of their own size.
        """
        _check_generator(self.generator, scores)
        samples = check_integer("num_samples", self.num_samples)
        step = max(1, _DRAWN // max(1, scores.numel()))
        places, noises = [], []
        for start in range(0, samples, step):
            shape = (min(step, samples - start), *scores.shape)
            draw = self._normal(shape, scores).mul_(noise)
            kth = largest((draw + scores).flatten(0, 1), k + 1)[1][:, k:]
            noises.append(draw.flatten(0, 1).gather(1, kth).view(shape[:2]).t())
            places.append(kth.view(shape[:2]).t())
        return torch.cat(places, 1), torch.cat(noises, 1)

    def _normal(self, shape: tuple[int, ...], scores: Tensor) -> Tensor:
        """Return numbers of the standard normal distribution."""
        if torch.compiler.is_compiling() and scores.device.type == "cpu" and self.generator is None:
            normal: Tensor = torch.ops.topk_lightning.standard_normal(scores, shape)
            return normal
        return torch.randn(shape, dtype=scores.dtype, device=scores.device, generator=self.generator)


# What torch's compiler makes of randn draws one by one on a CPU, 13 times as slow; an operation of its own it leaves alone.
@torch.library.custom_op(
    "topk_lightning::standard_normal",
    mutates_args=(),
    schema="(Tensor scores, SymInt[] shape) -> Tensor",
    tags=[torch.Tag.nondeterministic_seeded],
)
def _drawn_at_once(scores: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.randn(shape, dtype=scores.dtype)


@_drawn_at_once.register_fake
def _as_if_drawn(scores: Tensor, shape: Sequence[int]) -> Tensor:
    return scores.new_empty(shape)


def _check_margins(margins: object, num_classes: int) -> Tensor:
    """Return `margins` (C,)."""
    if not isinstance(margins, Tensor):
        raise InvalidTypeError(must("margins", "be a torch.Tensor or None", type(margins).__name__))
    if margins.shape != (num_classes,):
        raise InvalidValueError(
            must("margins", f"have shape ({num_classes},), one margin a class", tuple(margins.shape))
        )
    return margins


def _check_generator(generator: torch.Generator | None, logits: Tensor) -> None:
    """Check that `generator` draws on the kind of device that holds the logits."""
    if generator is not None and generator.device.type != logits.device.type:
        remedy = "Make it with torch.Generator(device=...)."
        raise InvalidValueError(
            must("generator", f"be on the device of the logits ({logits.device})", generator.device, remedy)
        )


noised_topk_hinge_loss = loss_function(NoisedTopKHingeLoss)
