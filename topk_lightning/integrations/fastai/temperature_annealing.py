"""TemperatureAnnealing for a Learner: a softmax temperature that follows a schedule, batch by batch or epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastai.callback.schedule import ParamScheduler

from topk_lightning._checks.options import check_choice, check_positive
from topk_lightning.curricula import TemperatureCurve, progress_at
from topk_lightning.integrations.fastai._annealing import AttributeAnnealing
from topk_lightning.schedules import Schedule

__all__ = ["TemperatureAnnealing"]


class TemperatureAnnealing(AttributeAnnealing):
    r"""Anneal the temperature of a loss in the course of a fit.

    Batch i of the T batches of a fit sees schedule(i/(T − 1)): the first `start`, the last `end`. These are the places of
    fastai's own schedules (`pct_train`), so a fit that goes on with `start_epoch` continues exactly; a fit of one batch
    sees `start`. Each fit runs the whole schedule: both of `fine_tune` do.

    Validation within a fit sees `eval_value`. `lr_find`, `validate`, `get_preds` and `predict` find the loss as it is.
    ``learn.recorder.plot_sched()`` draws the value beside the learning rate.

    Args:
        start: temperature > 0 at the first batch.
        end: temperature > 0 at the last batch; above or below `start`.
        schedule: "exponential", "linear" or "cosine", a :class:`topk_lightning.schedules.Schedule` or any function of the
            progress in [0, 1] (which then has its own ends and fractions).
        attribute: dotted path of the temperature in the loss or the model: a plain attribute, a buffer or a parameter.
        interval: "step": the value moves at each batch; "epoch": at the first batch of each epoch, with the progress
            e/(E − 1) of epoch e of E.
        hold_fraction: progress in [0, 1] up to which `start` is held.
        finish_fraction: progress in (hold_fraction, 1] from which `end` is held.
        eval_value: temperature > 0 in validation within a fit.

    Raises:
        ValueError: a value out of its range.
        topk_lightning.callbacks.CallbackError: when training starts, if there is no such attribute, or another callback
            sets it.

    Examples:
        >>> annealing = TemperatureAnnealing(start=4.0, end=1.0)
        >>> annealing.value_at(0), round(annealing.value_at(0.5), 9), annealing.value_at(1)
        (4.0, 2.0, 1.0)
    """

    _whole = False

    def __init__(
        self,
        start: float = 4.0,
        end: float = 1.0,
        schedule: Literal["exponential", "linear", "cosine"] | Schedule | Callable[[float], float] = "exponential",
        attribute: str = "loss_func.temperature",
        interval: Literal["step", "epoch"] = "step",
        hold_fraction: float = 0.0,
        finish_fraction: float = 1.0,
        eval_value: float = 1.0,
    ) -> None:
        super().__init__(attribute, check_positive("eval_value", eval_value))
        self.interval = check_choice("interval", interval, ("step", "epoch"))
        self._curve = TemperatureCurve(schedule, start, end, hold_fraction, finish_fraction)
        is_of_loss = self.attribute == "loss_func.temperature"
        self._example = "TemperatureCrossEntropyLoss()" if is_of_loss else repr(self.value_at(0))

    def value_at(self, progress: float) -> float:
        """Return the temperature at a progress of training in [0, 1]."""
        return self._curve(progress)

    def before_batch(self) -> None:
        """Set the temperature of this batch."""
        if self._owner is None:
            return
        learn = self.learn
        index, total = learn.epoch, learn.n_epoch
        if self.interval == "step":
            index, total = index * learn.n_iter + learn.iter, total * learn.n_iter
        self._set(self.value_at(progress_at(index, total)))

    def after_fit(self) -> None:
        """Hand the values over to the Learner's recorder, with those of fastai's schedules."""
        if self._owner is not None:
            for scheduler in self.learn.cbs:
                if isinstance(scheduler, ParamScheduler):
                    scheduler.hps[self.attribute] = self.history
        super().after_fit()
