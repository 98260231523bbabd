"""What the annealings are without a trainer: which value belongs to which progress. Lightning's and fastai's share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from topk_lightning._checks.callbacks_annealing import (
    check_ladder,
    check_ladder_rule,
    check_schedule,
    check_schedule_value,
    no_progress,
)
from topk_lightning._checks.options import check_choice, check_integer, check_number, check_positive, check_starts
from topk_lightning.schedules import Steps, named_ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["KLadder", "TemperatureCurve", "plot_curriculum"]


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
        return check_schedule_value(self.schedule(progress), progress)


@dataclass(frozen=True)
class KLadder:
    """The k of a loss, rung by rung, by progress or by a metric; the arguments are those of KAnnealing."""

    rungs: Sequence[int]
    at: Sequence[float] | None
    monitor: str | None
    threshold: float | None
    patience: int
    mode: str

    def __post_init__(self) -> None:
        rungs = check_ladder(self.rungs)
        checked: dict[str, object] = {"rungs": rungs}
        check_ladder_rule(self.at, self.monitor, self.threshold, self.patience, self.mode)
        if self.at is not None:
            checked["at"] = check_starts(self.at, len(rungs), of="the rungs of ladder")
        if self.threshold is not None:
            checked["threshold"] = check_number("threshold", self.threshold)
        checked["patience"] = check_integer("patience", self.patience)
        checked["mode"] = check_choice("mode", self.mode, ("max", "min"))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def value_at(self, progress: float) -> int:
        """Return k at a progress in [0, 1]."""
        return self.rungs[self.rung_at(progress)]

    def rung_at(self, progress: float) -> int:
        """Return the number of the rung at a progress in [0, 1]."""
        if self.at is None:
            raise no_progress("value_at")
        return int(Steps(range(len(self.rungs)), self.at)(progress))

    def ahead(self, metric: Tensor) -> float:
        """Return by how much a metric exceeds the threshold."""
        # Subtracted in the precision of the metric: 9 of 10 hits reach 0.9, though 0.9 in float32 is less.
        return float(metric - (self.threshold or 0.0))

    def climb(self, rung: int, reached: int, ahead: float) -> tuple[int, int]:
        """Return the next rung, and how many epochs in a row the metric has reached the threshold on it."""
        good = ahead >= 0 if self.mode == "max" else ahead <= 0
        reached = reached + 1 if good else 0
        if reached >= self.patience and rung < len(self.rungs) - 1:
            return rung + 1, 0
        return rung, reached


def plot_curriculum(
    value_at: Callable[[float], float], name: str, whole: bool, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw a value against the progress of training.

    Args:
        value_at: the value at a progress in [0, 1].
        name: what the value is called.
        whole: whether it is a whole number, which jumps.
        ax: matplotlib axes to draw into; by default new ones.
    """
    progresses = [i / 400 for i in range(401)]
    values = [value_at(progress) for progress in progresses]
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots()
    ax.plot(progresses, values, drawstyle="steps-post" if whole else "default")
    ax.set(xlabel="progress of training", ylabel=name, xlim=(0, 1))
    return ax.figure, ax  # type: ignore[return-value]
