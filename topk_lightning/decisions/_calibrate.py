"""A temperature for stored scores: fitted on validation images, and what it comes to on others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.metrics import CalibrationError, ReliabilityCurve
from topk_lightning.scores import Scores
from topk_lightning.temperature_scaler import BOUNDS, TemperatureScaler

__all__ = ["ScoresCalibration", "calibrate_scores"]

#: Images of the fit at most: for one temperature more are of no use.
_MOST = 20_000


@dataclass(frozen=True, eq=False)
class ScoresCalibration:
    """A temperature, and confidence against accuracy before and after it.

    Attributes:
        temperature: T, by which logits are divided.
        low: lower bound of its 95 % interval; NaN where the images leave none.
        high: its upper bound.
        fit_images: images of the fit.
        test_images: images on which it is measured.
        on_halves: whether these are the images of the fit, each measured with the temperature of the other half.
        before: with the scores as they are.
        after: with the temperature.
    """

    temperature: float
    low: float
    high: float
    fit_images: int
    test_images: int
    on_halves: bool
    before: ReliabilityCurve
    after: ReliabilityCurve

    @property
    def helps(self) -> bool:
        """Whether the images show that a temperature other than 1 is better, and the error falls."""
        return self._differs and self.after.error < self.before.error

    @property
    def _differs(self) -> bool:
        """Whether 1 lies outside the interval; where there is none, nothing is shown."""
        return self.low > 1 or self.high < 1

    @property
    def sentence(self) -> str:
        """What follows, in words."""
        if self.helps:
            return "Divide the logits by it: the order of the classes, and every top-k accuracy, stays as it is."
        if not self._differs:
            return "It does not help: these images do not show that it is better than leaving the scores alone."
        return "It does not help here: what holds for the images of the fit does not hold for these."

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for a JSON file; a bound that is NaN is None."""
        names = ("temperature", "low", "high", "fit_images", "test_images", "on_halves", "helps")
        errors = {"error_before": self.before.error, "error_after": self.after.error}
        numbers = {**{name: getattr(self, name) for name in names}, **errors}
        return {name: None if number != number else number for name, number in numbers.items()}


def calibrate_scores(validation: Scores, test: Scores | None = None) -> ScoresCalibration:
    """Return the temperature that validation images ask for, and the calibration error before and after it.

    Rows whose scores are not all finite, and of more than 20,000 images those between even distances, are left out of the fit.

    Args:
        validation: scores of images that the network was not trained on.
        test: scores of other images, on which it is measured; None: each half of the validation with the other's temperature.

    Raises:
        ValueError: no image with finite scores, no temperature that is best, other classes, weights of samples, the k best
            classes alone, scores of another kind than is said.

    Examples:
        >>> logits = torch.tensor([[3.0, 1.0]]).log().expand(100, 2)
        >>> found = calibrate_scores(Scores(logits, torch.arange(100) % 10 // 9, kind="logits"))
        >>> round(found.temperature, 3), round(found.before.error, 3), round(found.after.error, 3)
        (0.5, 0.15, 0.0)
    """
    for name, scores in (("validation", validation), ("test", test)):
        if scores is not None and scores.sample_weight is not None:
            raise InvalidValueError(must(name, "count all images alike for a temperature", "weights of samples"))
    logits, target = _sample(validation)
    if test is not None and test.num_classes != validation.num_classes:
        wanted = f"have the {validation.num_classes} classes of the validation"
        raise InvalidValueError(must("test", wanted, test.num_classes))
    if test is not None and validation.class_names and test.class_names and test.class_names != validation.class_names:
        raise InvalidValueError(must("test", "have the classes of the validation, in their order", "others"))
    scaler = _fitted(logits, target)
    before, after = CalibrationError(), CalibrationError()
    if test is None:
        half = torch.arange(len(logits)) % 4 < 2
        for part in (half, ~half):
            fitted = _fitted(logits[~part], target[~part])
            before.update(logits[part], target[part])
            after.update(fitted(logits[part]), target[part])
    else:
        labels = test.labels("a temperature")
        for block in test.blocks("a temperature"):
            block.check_units()
            of_block, targets = block.logits.float(), labels[block.start : block.start + len(block)]
            before.update(of_block, targets)
            after.update(scaler(of_block), targets)
    low, high = scaler.confidence_interval()
    curves = before.curve(), after.curve()
    images = int(curves[0].count.sum())
    return ScoresCalibration(float(scaler.temperature), low, high, len(logits), images, test is None, *curves)


def _sample(scores: Scores) -> tuple[Tensor, Tensor]:
    """Return logits and target of the rows of the fit, whose scores are finite but for masked classes."""
    labels, count, parts = scores.labels("a temperature"), len(scores), []
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.arange(min(count, _MOST)) * count // min(count, _MOST)] = True
    for block in scores.blocks("a temperature"):
        block.check_units()
        rows = chosen[block.start : block.start + len(block)]
        logits, targets = block.logits[rows].float(), labels[block.start : block.start + len(block)][rows]
        usable = logits.amax(1).isfinite() & logits.gather(1, targets[:, None]).isfinite().squeeze(1)
        parts.append((logits[usable], targets[usable]))
    logits, target = (torch.cat(part) for part in zip(*parts, strict=True))
    if len(logits) < 4:
        wanted = "hold at least 4 images with finite scores for a temperature"
        raise InvalidValueError(must("validation", wanted, len(logits)))
    return logits, target


def _fitted(logits: Tensor, target: Tensor) -> TemperatureScaler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a temperature at its bound, which is refused here
        scaler = TemperatureScaler().fit(logits, target)
    low, high = BOUNDS
    if not 1.001 * low < float(scaler.temperature) < 0.999 * high:
        remedy = "Are all of them right, or all wrong?"
        raise InvalidValueError(must("validation", "hold images for which a temperature is best", "none", remedy))
    return scaler
