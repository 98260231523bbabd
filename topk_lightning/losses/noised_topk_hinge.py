"""The calibrated top-k hinge loss, smoothed by ranking noisy scores; margins for imbalanced classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks.losses import (
    check_at_least_zero,
    check_class_counts,
    check_generator,
    check_margins,
    check_temperature,
)
from topk_lightning._checks.options import check_integer, check_k, check_positive
from topk_lightning.losses._base import ClassificationLoss, float_tensor, reduce_rows
from topk_lightning.losses._stable import hinge
from topk_lightning.ranking import topk_indices

__all__ = ["NoisedTopKHingeLoss", "imbalanced_margins", "noised_topk_hinge_loss"]


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


def noised_topk_hinge_loss(
    logits: Tensor,
    target: Tensor,
    k: int = 5,
    *,
    noise: float = 1.0,
    num_samples: int = 5,
    margins: Tensor | None = None,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    class_dim: int = 1,
) -> Tensor:
    r"""Return the hinge between the target and the expected best noisy class outside the top k.

    With s the logits, y the target, m the margins (1 by default), σ the noise, Z_b standard normal vectors and
    x_[k+1] the (k + 1)-th largest of all C entries of x, a row costs

    .. math:: \text{scale} \cdot \max\Big(0, m_y + \frac1B \sum_{b=1}^B (s + σ Z_b)_{[k+1]} - s_y\Big),

    and 0 at k = C. σ → 0 is :func:`~topk_lightning.losses.calibrated_topk_hinge_loss`. The gradient reaches the classes
    that come out (k + 1)-th in some sample, at most B of a row.

    Shape:
        As :func:`torch.nn.functional.cross_entropy`: logits (N, C), (N, C, d1, …) or (C,), target (N,), (N, d1, …) or
        (), or a float target of the shape of the logits.

    Args:
        logits: unnormalised scores of a float dtype.
        target: class indices, or a distribution over classes (each class of a row draws its own noise).
        k: how many guesses are allowed, 1 ≤ k ≤ C.
        noise: σ ≥ 0, in units of the logits; 0 ranks the logits themselves.
        num_samples: B ≥ 1. Time grows with it, memory does not.
        margins: one margin a class, (C,), as :func:`imbalanced_margins` makes them.
        scale: factor > 0.
        generator: source of the noise, for repeatable values; not inside ``torch.compile``.
        weight: one weight ≥ 0 a class.
        ignore_index: class indices of this value count nothing.
        reduction: "mean" (divides by the weight of all rows), "sum" or "none".
        class_dim: the class dimension, -1 for (N, T, C) sequences.

    Returns:
        The loss in [0, ∞), a scalar or one value a row.

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, an option, a shape or a label is out of range, or the generator is on another device.

    Examples:
        Without noise, k = 1: the second largest of 5, 3, 0 is 3, so target 1 costs 1 + 3 − 3.

        >>> import torch
        >>> noised_topk_hinge_loss(torch.tensor([[5.0, 3.0, 0.0]]), torch.tensor([1]), k=1, noise=0.0)
        tensor(1.)

    Source:
        Garcin et al., ICML 2022, arXiv:2202.02193, "Stochastic smoothing of the top-k calibrated hinge loss for deep
        imbalanced classification".
    """
    noise = check_at_least_zero("noise", noise)
    scale = check_temperature(scale, "scale")
    num_samples = check_integer("num_samples", num_samples)
    check_k(k)

    def rows(logits: Tensor, target: Tensor) -> Tensor:
        num_classes = logits.shape[1]
        check_k(k, num_classes)
        own = logits.gather(1, target.unsqueeze(1))
        if k == num_classes:
            return torch.where(own.isnan(), own, 0).squeeze(1)
        margin = 1.0 if margins is None else check_margins(margins, num_classes).to(logits)[target]
        best = topk_indices(logits, k + 1)
        if noise == 0:
            places, noise_there = best[:, k:], logits.new_zeros(1)
        else:
            check_generator(generator, logits)
            places, noise_there = _noisy_places(logits, k, noise, num_samples, generator)
        best_scores = logits.gather(1, best[:, :k])
        bars = logits.gather(1, places).clamp(min=torch.finfo(logits.dtype).min)
        return scale * hinge(margin, ((bars - own) + noise_there).mean(1), best_scores)

    return reduce_rows(
        rows, logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim
    )


@torch.no_grad()
def _noisy_places(
    logits: Tensor, k: int, noise: float, num_samples: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Return which class comes out (k + 1)-th in each sample, and its noise, both (M, B): one (M, C) buffer in all."""
    places, noises = [], []
    for _ in range(num_samples):
        draw = torch.randn(logits.shape, dtype=logits.dtype, device=logits.device, generator=generator) * noise
        place = topk_indices(logits + draw, k + 1)[:, k:]
        places.append(place)
        noises.append(draw.gather(1, place))
    return torch.cat(places, 1), torch.cat(noises, 1)


class NoisedTopKHingeLoss(ClassificationLoss):
    """Apply :func:`noised_topk_hinge_loss`, which has the formula and the arguments; without noise in eval mode.

    Examples:
        >>> import torch
        >>> loss = NoisedTopKHingeLoss(k=1, generator=torch.Generator().manual_seed(0)).eval()
        >>> loss(torch.tensor([[5.0, 3.0, 0.0]]), torch.tensor([1]))
        tensor(1.)
    """

    options = ("k", "noise", "num_samples", "scale")

    margins: Tensor | None

    def __init__(
        self,
        k: int = 5,
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
        self.k = check_k(k)
        self.noise = check_at_least_zero("noise", noise)
        self.num_samples = check_integer("num_samples", num_samples)
        self.register_buffer("margins", None if margins is None else float_tensor(margins))
        self.scale = check_positive("scale", scale)
        self.generator = generator

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return noised_topk_hinge_loss(
            logits,
            target,
            self.k,
            noise=self.noise if self.training else 0.0,
            num_samples=self.num_samples,
            margins=self.margins,
            scale=self.scale,
            generator=self.generator,
            **self.shared,
        )
