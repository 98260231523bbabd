"""A temperature for the probabilities of a trained model, fitted on validation images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.losses import check_logits_and_labels
from topk_lightning._checks.options import check_level
from topk_lightning._checks.scores import check_labels

__all__ = ["TemperatureScaler"]

BOUNDS = (0.01, 100.0)
_STEP = 1e-7  # of log T: Newton's steps square their error, so the next one would be of some 1e-14
_BLOCK = 2**16  # logits at a time: what is made of them stays in the cache of a processor


class TemperatureScaler(nn.Module):
    r"""Divide logits by one temperature, so that probabilities mean what they say.

    .. math:: p = \mathrm{softmax}(s / T), \quad T = \arg\min_T \; -\sum_n \log p_n(y_n)

    The negative log likelihood of validation images is convex in 1/T and so has one minimum, which :meth:`fit` finds to
    the precision of the logits by Newton's steps within a bracket; there is no learning rate and no number of steps to choose. A model
    that promises too much gets T > 1, one that promises too little T < 1.

    The order of the classes, and so every top-k accuracy, stays as it is. The temperature has nothing to do with that of
    a loss, which shapes training and is gone after it: this one is fitted when training is over, on validation images
    only. Fitted on training images it would trust the model as much as it deserves there; on test images it would make
    their calibration look better than it is.

    Shape:
        Logits of any shape, to the same shape and dtype.

    Attributes:
        temperature: T, a buffer, so that it moves and is saved with the module; 1 before :meth:`fit`.
        standard_error: of log T, by the spread of the slopes of the single images; NaN before :meth:`fit`, and where no
            temperature is best.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2; there T is fitted by gradient descent.

    Examples:
        A model always gives the first class three times the weight of the second, and is right in 9 of 10 cases. It should
        say log 9 = 2 log 3, so its temperature is 1/2.

        >>> logits = torch.tensor([[3.0, 1.0]]).log().expand(10, 2)
        >>> scaler = TemperatureScaler().fit(logits, torch.tensor([0] * 9 + [1]))
        >>> scaler.temperature
        tensor(0.5000)
        >>> scaler(logits[0]).softmax(0)
        tensor([0.9000, 0.1000])
        >>> scaler.confidence_interval()  # of ten images
        (0.195..., 1.280...)
    """

    temperature: Tensor
    standard_error: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("standard_error", torch.full((), math.nan))

    def forward(self, logits: Tensor) -> Tensor:
        """Return the logits divided by the temperature."""
        return logits / self.temperature

    @torch.no_grad()
    def fit(
        self, logits: Tensor, target: Tensor, *, ignore_index: int | None = -100, class_dim: int = 1
    ) -> TemperatureScaler:
        """Set the temperature to the one under which the targets are most likely.

        Args:
            logits: of validation images, (N, C) or (N, C, d1, …), as the network returns them; −inf masks a class.
            target: class indices (N,) or (N, d1, …).
            ignore_index: rows with this label are left out; None: there are none.
            class_dim: the class dimension.

        Returns:
            The scaler itself. Where no temperature is best it stands at a bound, 0.01 or 100, with a warning that says
            why; where logits are equal in every row any would do, and it is 1.

        Raises:
            TypeError: if a dtype is wrong, or the target is a distribution over classes.
            ValueError: if there is no row, a shape or a label is wrong, or a row has no finite likelihood.
        """
        dim = check_logits_and_labels(logits, target, class_dim)
        rows, label = logits.movedim(dim, -1).reshape(-1, logits.shape[dim]), target.reshape(-1).long()
        if ignore_index is not None:
            rows, label = rows[label != ignore_index], label[label != ignore_index]
        if not len(rows):
            remedy = f"Rows with the label {ignore_index} are left out." if ignore_index is not None else ""
            raise InvalidValueError(must("logits", "hold at least one row with a label", "none", remedy))
        check_labels(label, rows.shape[1])
        _check_finite_rows(rows, label)
        if rows.device.type == "mps":  # it has no float64
            rows, label = rows.cpu(), label.cpu()
        temperature = _best_temperature(lambda inverse: _slope(rows, label, inverse)[:2])
        slope, curvature, square = _slope(rows, label, 1 / temperature)
        is_best = curvature > 0 and abs(slope) < 1e-3 * math.sqrt(square)
        error = temperature * math.sqrt(square / len(rows)) / curvature if is_best else math.nan
        self.temperature.fill_(temperature)
        self.standard_error.fill_(error)
        return self

    def confidence_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the bounds of the best temperature: where the images of :meth:`fit` leave it, had there been others.

        T · exp(± z · standard_error), by the robust ("sandwich") error of a maximum likelihood, which holds also where
        no temperature makes the model right. NaN where none is best. Where 1 lies within, the images do not show that
        dividing by T is better than leaving the logits alone.

        Args:
            level: the probability in (0, 1) of the interval.
        """
        z = float(torch.special.ndtri(torch.tensor((1 + check_level(level)) / 2, dtype=torch.float64)))
        temperature, spread = float(self.temperature), math.exp(z * float(self.standard_error))
        return temperature / spread, temperature * spread

    def extra_repr(self) -> str:
        """Return what stands between the brackets of ``repr``."""
        return f"temperature={float(self.temperature):.4g}"


def _slope(rows: Tensor, label: Tensor, inverse: float) -> tuple[float, float, float]:
    """Return the first two derivatives of the mean negative log likelihood with respect to 1/T, and the mean square.

    They are the mean over rows of E[s] − s_y and of Var[s], under the softmax of s/T, and that of (E[s] − s_y)²; summed
    over rows in float64.
    """
    slope, curvature, squares = 0.0, 0.0, 0.0
    size = max(1, _BLOCK // rows.shape[1])
    for block, labels in zip(torch.split(rows, size), torch.split(label, size), strict=True):
        scores = block if block.dtype == torch.float64 else block.float()
        scores = scores - scores.amax(1, keepdim=True)
        weights = (inverse * scores).exp_()
        scores.clamp_(min=torch.finfo(scores.dtype).min)  # −inf has weight 0, and 0 times it is no number
        total = weights.sum(1).double()
        mean = weights.mul_(scores).sum(1).double() / total
        square = weights.mul_(scores).sum(1).double() / total
        slopes = mean - scores.gather(1, labels.unsqueeze(1)).squeeze(1)
        slope += float(slopes.sum())
        squares += float(slopes.square().sum())
        curvature += float((square - mean.square()).sum())
    return slope / len(rows), curvature / len(rows), squares / len(rows)


def _best_temperature(slope: Callable[[float], tuple[float, float]]) -> float:
    """Return the root of the slope as a temperature; it grows with 1/T."""
    low, high = (-math.log(bound) for bound in reversed(BOUNDS))  # of log 1/T
    log_inverse, previous, bracketed = 0.0, high - low, False
    while high - low > 1e-12:
        value, curvature = slope(math.exp(log_inverse))
        low, high = (log_inverse, high) if value < 0 else (low, log_inverse)
        step = -value / (math.exp(log_inverse) * curvature) if curvature > 0 else math.inf
        if low <= log_inverse + step <= high and abs(step) <= previous / 2:
            if abs(step) < _STEP:
                return math.exp(-log_inverse - step)
        else:
            # Newton's step leaves the bracket, or steps do not get shorter: halve the bracket, if a root is in it.
            if not bracketed and (end := _without_root(slope)) is not None:
                return end
            step, bracketed = (low + high) / 2 - log_inverse, True
        log_inverse, previous = log_inverse + step, abs(step)
    return math.exp(-log_inverse)


def _without_root(slope: Callable[[float], tuple[float, float]]) -> float | None:
    """Return the temperature where no best one lies within the bounds, with a warning; None where one does."""
    at_lowest, at_highest = (slope(1 / bound)[0] for bound in BOUNDS)
    if at_lowest == 0 == at_highest:
        return 1.0
    if at_highest < 0 < at_lowest:
        return None
    bound = BOUNDS[0] if at_lowest <= 0 else BOUNDS[1]
    warnings.warn(_at_bound(bound, lower=at_lowest <= 0), stacklevel=5)
    return bound


def _check_finite_rows(logits: Tensor, target: Tensor) -> None:
    """Raise where a row (N, C) has no likelihood at any temperature: NaN, +inf, or −inf for the target or everywhere."""
    best, of_target = logits.amax(1), logits.gather(1, target.unsqueeze(1)).squeeze(1)
    for scores, wanted in (
        (best, "have a finite maximum in each row"),
        (of_target, "be finite for the target of each row"),
    ):
        broken = (~scores.isfinite()).nonzero()
        if len(broken):
            row = int(broken[0])
            raise InvalidValueError(must("logits", wanted, f"{scores[row].item()} in row {row}"))


def _at_bound(bound: float, lower: bool) -> str:
    """Return the sentences of the warning for a temperature that stopped at a bound."""
    if lower:
        return (
            f"TemperatureScaler stopped at its lower bound {bound:g}: the likelihood still grows as the temperature "
            "falls, as it does without end where every target has the highest logit. Fit it on more images, none of "
            "which the model was trained on."
        )
    return (
        f"TemperatureScaler stopped at its upper bound {bound:g}: the likelihood still grows as the temperature rises, "
        "as it does where the logits say nothing about the targets. Check that logits and targets belong together."
    )
