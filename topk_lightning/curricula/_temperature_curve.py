"""The temperature at a progress of training."""

from __future__ import annotations

import math
from collections.abc import Callable

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_positive
from topk_lightning.curricula._schedule import check_schedule
from topk_lightning.schedules import named_ramp

__all__ = ["TemperatureCurve"]


class TemperatureCurve:
    """Return a temperature above 0 for a progress in [0, 1].

    Args:
        schedule: the name of a ramp, a schedule, or any function of the progress.
        start: as in TemperatureAnnealing; like the other three, only for a ramp by name.
        end: as in TemperatureAnnealing.
        hold_fraction: as in TemperatureAnnealing.
        finish_fraction: as in TemperatureAnnealing.
    """

    def __init__(
        self,
        schedule: str | Callable[[float], float],
        start: float,
        end: float,
        hold_fraction: float,
        finish_fraction: float,
    ) -> None:
        self.schedule: Callable[[float], float]
        if isinstance(schedule, str):
            start, end = check_positive("start", start), check_positive("end", end)
            self.schedule = named_ramp(
                schedule, start, end, hold_fraction=hold_fraction, finish_fraction=finish_fraction
            )
        else:
            options = {
                "start": (start, 4.0),
                "end": (end, 1.0),
                "hold_fraction": (hold_fraction, 0.0),
                "finish_fraction": (finish_fraction, 1.0),
            }
            self.schedule = check_schedule(schedule, options)

    def __call__(self, progress: float) -> float:
        value = self.schedule(progress)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
        actual = f"{value!r} at progress {progress:.4g}"
        raise CallbackError(must("schedule", "return a finite number above 0", actual))
