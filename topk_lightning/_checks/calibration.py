"""Checks of calibration: labels, rows without a softmax, and the sentence for a temperature at its bound."""

from __future__ import annotations

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.losses import check_logits_and_target

__all__ = ["at_bound", "check_finite_rows", "check_logits_and_labels", "check_some_rows"]


def check_logits_and_labels(logits: object, target: object, class_dim: int) -> int:
    """Return the class dimension counted from the front; a distribution over classes is no label."""
    dim, soft = check_logits_and_target(logits, target, class_dim)
    if soft:
        actual = "a float tensor of the shape of the logits"
        raise InvalidTypeError(must("target", "hold class indices of an integer dtype", actual))
    return dim


def check_some_rows(rows: Tensor, ignore_index: int | None) -> None:
    """Raise where nothing is left to fit a temperature to."""
    if not len(rows):
        remedy = f"Rows with the label {ignore_index} are left out." if ignore_index is not None else ""
        raise InvalidValueError(must("logits", "hold at least one row with a label", "none", remedy))


def check_finite_rows(logits: Tensor, target: Tensor) -> None:
    """Raise where a row (N, C) has no likelihood at any temperature: NaN, +inf, or −inf for the target or everywhere."""
    best, own = logits.amax(1), logits.gather(1, target.unsqueeze(1)).squeeze(1)
    for found, wanted in ((best, "have a finite maximum in each row"), (own, "be finite for the target of each row")):
        broken = (~found.isfinite()).nonzero()
        if len(broken):
            row = int(broken[0])
            raise InvalidValueError(must("logits", wanted, f"{found[row].item()} in row {row}"))


def at_bound(bound: float, lower: bool) -> str:
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
