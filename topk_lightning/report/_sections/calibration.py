"""Confidence against accuracy, as trained and with the temperature that validation images ask for."""

from __future__ import annotations

from typing import Any

from topk_lightning.metrics import ReliabilityCurve
from topk_lightning.report._calibration_plot import calibration_plot
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 40


def section(results: Results) -> Section:
    """Return the reliability diagram and what it says; no diagram where no image has a confidence."""
    curve, scaled = results.calibration, results.scaled
    if not int(curve.count.sum()):
        return Section(
            "Calibration",
            {"chart": None, "notes": []},
            {"as_trained": None, "scaled": None, "temperature": None, "notes": []},
        )
    values = {
        "as_trained": _values(curve),
        "scaled": None if scaled is None else _values(scaled),
        "temperature": results.temperature and dict(zip(("value", "low", "high"), results.temperature, strict=True)),
        "notes": _notes(results),
    }
    return Section("Calibration", {"chart": calibration_plot(curve, scaled), "notes": _notes(results)}, values)


def _values(curve: ReliabilityCurve) -> dict[str, Any]:
    columns = {
        "from": curve.edges[:-1],
        "to": curve.edges[1:],
        "images": curve.count,
        "confidence": curve.confidence,
        "accuracy": curve.accuracy,
        "low": curve.low,
        "high": curve.high,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        "error": curve.error,
        "overconfidence": curve.overconfidence,
        "bins": [dict(zip(columns, row, strict=True)) for row in rows],
    }


def _notes(results: Results) -> list[str]:
    curve, scaled = results.calibration, results.scaled
    gap = curve.overconfidence
    what = "promises more than it keeps" if gap > 0 else "promises less than it keeps"
    notes = [
        "An image that is named with confidence 0.80 should be right in 80 of 100 cases: on the diagonal. Below it the "
        "classifier promises too much, above it too little. The bars are 95 % intervals.",
        f"Over all images its confidence is {abs(gap):.3f} {'above' if gap > 0 else 'below'} its accuracy: it {what}. "
        f"The expected calibration error is {curve.error:.3f}.",
    ]
    if scaled is not None and results.temperature is not None:
        temperature, low, high = results.temperature
        if low <= 1 <= high:
            verdict = "The images do not show that dividing by it is better than leaving the logits alone."
        elif scaled.error < curve.error:
            verdict = "Dividing by it is worth while, and leaves the order of the guesses as it is."
        else:
            verdict = "It does not help here: what holds for the validation images does not hold for these."
        notes.append(
            f"A temperature of {temperature:.2f} (95 % interval {low:.2f} to {high:.2f}), fitted on validation images only, "
            f"gives an error of {scaled.error:.3f} on these test images. {verdict}"
        )
    return notes
