"""A temperature for the probabilities of a trained model, fitted on validation images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from topk_lightning._checks.calibration import at_bound, check_finite_rows, check_logits_and_labels, check_some_rows
from topk_lightning._checks.scores import check_labels

__all__ = ["TemperatureScaler"]

BOUNDS = (0.01, 100.0)
_TOLERANCE = 1e-12  # of log T
_BLOCK = 2**20  # logits that are taken to float64 at a time


class TemperatureScaler(nn.Module):
    r"""Divide logits by one temperature, so that probabilities mean what they say.

    .. math:: p = \mathrm{softmax}(s / T), \quad T = \arg\min_T \; -\sum_n \log p_n(y_n)

    The likelihood of validation images is convex in 1/T and so has one best temperature, which :meth:`fit` finds to
    twelve digits by Newton's steps within a bracket; there is no learning rate and no number of steps to choose. A model
    that promises too much gets T > 1, one that promises too little T < 1.

    The order of the classes, and so every top-k accuracy, stays as it is. The temperature has nothing to do with that of
    a loss, which shapes training and is gone after it: this one is fitted when training is over, on validation images
    only. Fitted on training images it would trust the model as much as it deserves there; on test images it would make
    their calibration look better than it is.

    Shape:
        Logits of any shape, to the same shape and dtype.

    Attributes:
        temperature: T, a buffer, so that it moves and is saved with the module; 1 before :meth:`fit`.

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
    """

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))

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
        check_some_rows(rows, ignore_index)
        check_labels(label, rows.shape[1])
        check_finite_rows(rows, label)
        if rows.device.type == "mps":  # it has no float64
            rows, label = rows.cpu(), label.cpu()
        self.temperature.fill_(_best_temperature(lambda inverse: _slope(rows, label, inverse)))
        return self

    def extra_repr(self) -> str:
        """Return what stands between the brackets of ``repr``."""
        return f"temperature={float(self.temperature):.4g}"


def _slope(rows: Tensor, label: Tensor, inverse: float) -> tuple[float, float]:
    """Return the first two derivatives of the mean negative log likelihood with respect to 1/T.

    They are the mean over rows of E[s] − s_y and of Var[s], under the softmax of s/T.
    """
    slope, curvature = 0.0, 0.0
    size = max(1, _BLOCK // rows.shape[1])
    for block, own in zip(torch.split(rows, size), torch.split(label, size), strict=True):
        scores = block.double()
        scores = scores - scores.amax(1, keepdim=True)
        probabilities = (inverse * scores).softmax(1)
        scores = scores.masked_fill(scores == -torch.inf, 0)  # of probability 0
        mean = (probabilities * scores).sum(1, keepdim=True)
        slope += float((mean - scores.gather(1, own.unsqueeze(1))).sum())
        curvature += float((probabilities * (scores - mean).square()).sum())
    return slope / len(rows), curvature / len(rows)


def _best_temperature(slope: Callable[[float], tuple[float, float]]) -> float:
    low, high = (-math.log(bound) for bound in reversed(BOUNDS))  # of log(1/T)
    slope_low, slope_high = slope(math.exp(low))[0], slope(math.exp(high))[0]
    if slope_low == 0 == slope_high:
        return 1.0
    if slope_high <= 0 or slope_low >= 0:
        bound = BOUNDS[0] if slope_high <= 0 else BOUNDS[1]
        warnings.warn(at_bound(bound, lower=slope_high <= 0), stacklevel=4)
        return bound
    place, previous = 0.0, high - low
    while True:
        value, curvature = slope(math.exp(place))
        low, high = (place, high) if value < 0 else (low, place)
        step = -value / (math.exp(place) * curvature) if curvature > 0 else math.inf
        # A Newton step that leaves the bracket, or that does not get shorter, is replaced by half the bracket.
        if not low <= place + step <= high or abs(step) > previous / 2:
            step = (low + high) / 2 - place
        place, previous = place + step, abs(step)
        if abs(step) < _TOLERANCE:
            return math.exp(-place)
