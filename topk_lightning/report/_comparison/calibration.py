"""Confidence against accuracy of both, side by side."""

from __future__ import annotations

from statistics import fmean

from topk_lightning.report._calibration_plot import calibration_plot
from topk_lightning.report._compared import Compared
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 50


def section(compared: Compared) -> Section | None:
    """Return both reliability diagrams in one, and the errors; None where the k best classes alone are known."""
    curves = [pair.calibration for pair in compared.pairs if pair.calibration is not None]
    if not curves or not all(int(curve.count.sum()) for pair in curves for curve in pair):
        return None
    notes = []
    for side, name in enumerate(compared.names):
        errors = [pair[side].error for pair in curves]
        over = fmean(pair[side].overconfidence for pair in curves)
        each = f" ({', '.join(f'{error:.3f}' for error in errors)} by seed)" if len(errors) > 1 else ""
        way = "above" if over > 0 else "below"
        notes.append(
            f"{name}: expected calibration error {fmean(errors):.3f}{each}; its confidence is {abs(over):.3f} {way} its accuracy."
        )
    notes.append(
        "On the diagonal a confidence means what it says. Probabilities of two models are comparable only as far as both are "
        "near it; topk-lightning calibrate fits the temperature that brings one there."
    )
    chart = calibration_plot(*curves[0], labels=compared.names) if len(curves) == 1 else None
    return Section("Calibration", {"chart": chart, "notes": notes})
