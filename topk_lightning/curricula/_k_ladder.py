"""The k of a loss, rung by rung, by the progress of training or by a metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.options import check_choice, check_integer, check_number, check_starts
from topk_lightning.schedules import Steps

__all__ = ["KLadder"]


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
        rungs = _check_rungs(self.rungs)
        checked: dict[str, object] = {"rungs": rungs}
        self._check_rule()
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
            remedy = "Where k goes by a metric, only training shows it: see history."
            raise CallbackError(
                must("value_at", "be asked of a ladder that goes by progress (at=)", "monitor=", remedy)
            )
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

    def _check_rule(self) -> None:
        """Raise unless k changes either by progress or by a metric."""
        if (self.at is None) == (self.monitor is None):
            actual = "neither" if self.at is None else "both"
            remedy = "Use at=(0, 0.5, 0.8) to go by progress, or monitor= and threshold= to go by a metric."
            raise InvalidValueError(must("KAnnealing", "be given one of at and monitor", actual, remedy))
        if (self.monitor is None) != (self.threshold is None):
            raise InvalidValueError(must("threshold", "be given with monitor, and only then", self.threshold))
        for name, value, default in (("patience", self.patience, 1), ("mode", self.mode, "max")):
            if self.monitor is None and value != default:
                raise InvalidValueError(must(name, "be given only with monitor", repr(value)))


def _check_rungs(ladder: object) -> tuple[int, ...]:
    """Return two or more k, each another than the one before, as a tuple."""
    if isinstance(ladder, str) or not isinstance(ladder, Iterable):
        raise InvalidTypeError(must("ladder", "be a sequence of k", type(ladder).__name__))
    rungs = tuple(check_integer("ladder", k) for k in ladder)
    if len(rungs) < 2:
        raise InvalidValueError(must("ladder", "hold at least two k", rungs))
    if any(k == after for k, after in pairwise(rungs)):
        raise InvalidValueError(must("ladder", "change k from rung to rung", rungs))
    return rungs
