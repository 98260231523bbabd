"""What the annealings of a Learner share: one number of its loss or model, set in training, another in validation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastai.callback.core import Callback
from fastai.learner import Learner
from fastai.losses import BaseLoss

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.curricula import Curriculum, ModuleAttribute, annealed_twice, check_attribute, warn_of_units

__all__ = ["AttributeAnnealing"]


class AttributeAnnealing(Curriculum, Callback):
    """Set a number of a Learner's loss or model in the course of training; a subclass says when, and to what.

    fastai announces predict, validate and get_preds as a fit too, so a fit begins with the first `before_train`. No event
    tells of an error. So a fit runs its batches through a method of ours, which brings the value of training back however
    a validation ends; where an interrupted fit has left it in place, it does nothing until the next fit removes it.

    Args:
        attribute: dotted path that begins with "loss_func." or "model.".
        eval_value: the value in validation.
    """

    # After TrainEvalCallback (-10), which tells training from validation; before MixUp and CutMix (0), which put a
    # method of their own in the place of the loss.
    order = -5
    run_valid = False

    #: What to write where the Learner lacks the attribute; set by a subclass.
    _example: str

    def __init__(self, attribute: str, eval_value: float) -> None:
        super().__init__()
        self.attribute = _check_path(attribute)
        self.eval_value = eval_value
        #: The values so far, from the first; of the last fit.
        self.history: list[Any] = []
        self._owner: Any = None
        self._number = ModuleAttribute(self.attribute.rpartition(".")[2])

    def _label(self) -> str:
        return self.attribute

    def before_fit(self) -> None:
        """Clear what an interrupted fit has left."""
        self._leave()

    def before_train(self) -> None:
        """Find the attribute once a fit; the search for a learning rate is left alone."""
        if self._owner is None and not hasattr(self.learn, "lr_finder"):
            self._begin()

    def after_fit(self) -> None:
        """Leave the last value of training in the attribute."""
        self._leave()

    def _begin(self) -> None:
        """Check that the Learner has the attribute, and that nobody else sets it."""
        learn = self.learn
        ModuleAttribute(self.attribute).check(learn, self._example, self._whole)
        owner, name = ModuleAttribute(self.attribute).owner(learn)
        if isinstance(owner, BaseLoss) and hasattr(owner.func, name):
            owner = owner.func  # fastai's wrapper shows copies of the loss's attributes
        warn_of_units(self.attribute, owner, name)
        for other in learn.cbs:
            if isinstance(other, AttributeAnnealing) and other._owner is owner and other._number == self._number:
                raise annealed_twice(self.attribute, (other, self))
        self._owner, self.history = owner, []
        learn.all_batches = partial(self._all_batches, learn, learn.all_batches)

    def _leave(self) -> None:
        self._owner = None
        self.learn.__dict__.pop("all_batches", None)

    def _all_batches(self, learn: Learner, all_batches: Callable[[], None]) -> None:
        """Run the batches, those of validation with `eval_value`."""
        owner = self._owner
        if owner is None or learn is not self.learn or learn.training:
            all_batches()
            return
        saved = self._number.read(owner)
        self._number.write(owner, self.eval_value)
        try:
            all_batches()
        finally:
            self._number.write(owner, saved)

    def _set(self, value: float) -> None:
        self._number.write(self._owner, value)
        self.history.append(value)


def _check_path(attribute: object) -> str:
    """Return a dotted path into the loss or the model of a Learner, such as "loss_func.temperature"."""
    path = check_attribute(attribute)
    part, _, rest = path.partition(".")
    if part in ("loss_func", "model") and rest:
        return path
    remedy = f"Did you mean {'loss_func.' + rest!r}?" if part == "loss" and rest else ""
    raise InvalidValueError(must("attribute", 'begin with "loss_func." or "model."', repr(path), remedy))
