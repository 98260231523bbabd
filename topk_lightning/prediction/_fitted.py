"""What was fitted for a network and stands in its checkpoint: prediction sets, a review plan, the level one is sure of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import topk_lightning.decisions as decisions
from topk_lightning._checks import InvalidValueError, must

if TYPE_CHECKING:
    from topk_lightning.decisions import ClassList, PredictionSets, ReviewPlan, RollUp

__all__ = ["CLASSES_KEY", "FITS", "SETS_KEY", "Fitted"]

#: The keys of a checkpoint under which its prediction sets and their classes stand.
SETS_KEY, CLASSES_KEY = "prediction_sets", "fitted_for_classes"


@dataclass(frozen=True)
class _Fit:
    """How a fit is kept: its key, how it becomes plain data and back, and the words that make one.

    The kind is a name: some bring torchmetrics along, and are imported where one was fitted.
    """

    key: str
    kind: str
    to_plain: str
    command: str
    name: str


#: By the attribute of :class:`Fitted`.
FITS = {
    "sets": _Fit(SETS_KEY, "PredictionSets", "as_dict", "sets {}", "prediction sets"),
    "plan": _Fit("review_plan", "ReviewPlan", "to_dict", "review {}", "a review plan"),
    "sure": _Fit("roll_up", "RollUp", "to_dict", "review {} --hierarchy FILE", "a threshold of being sure"),
}


@dataclass(frozen=True, eq=False)
class Fitted:
    """Hold what was fitted for a network on validation images; a training that goes on makes it void.

    Args:
        sets: prediction sets; None where there are none.
        plan: which pictures a person must see.
        sure: from which probability on a class or a group is said.
        classes: for which classes each of them was fitted, by its name here; those that are not in it, for all.
    """

    sets: PredictionSets | None = None
    plan: ReviewPlan | None = None
    sure: RollUp | None = None
    classes: Mapping[str, ClassList] = field(default_factory=dict)

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> Fitted:
        """Return what stands in a checkpoint."""
        plain_of = {name: checkpoint.get(fit.key) for name, fit in FITS.items()}
        given = {name: plain for name, plain in plain_of.items() if plain is not None}
        fits = {name: getattr(decisions, FITS[name].kind).from_dict(plain) for name, plain in given.items()}
        lists = checkpoint.get(CLASSES_KEY) or {}
        return cls(**fits, classes={name: decisions.ClassList.from_dict(plain) for name, plain in lists.items()})

    def put(self, checkpoint: dict[str, Any]) -> None:
        """Put it into a checkpoint, as plain data."""
        for name, fit in FITS.items():
            if (fitted := getattr(self, name)) is not None:
                checkpoint[fit.key] = getattr(fitted, fit.to_plain)()
        if self.classes:
            checkpoint[CLASSES_KEY] = {name: each.to_dict() for name, each in self.classes.items()}

    def usable(self, classes: ClassList | None, is_adjusted: bool) -> Fitted:
        """Return those fits that hold for some classes, and for scores that are not adjusted."""
        names = [name for name in FITS if self.classes.get(name) == classes and not is_adjusted]
        return Fitted(**{name: getattr(self, name) for name in names})

    def get(
        self, name: str, classes: ClassList | None, checkpoint: str = "CHECKPOINT", is_adjusted: bool = False
    ) -> Any:
        """Return a fit for some classes.

        Args:
            name: "sets", "plan" or "sure".
            classes: the classes that are possible; None: all.
            checkpoint: of the network, for the error.
            is_adjusted: whether the scores will be adjusted, for which what was fitted without does not keep its promise.

        Raises:
            ValueError: no such fit, or one for other classes.
        """
        fit, fitted = FITS[name], getattr(self, name)
        if is_adjusted:
            requirement, remedy = f"be 0 with {fit.name} of the checkpoint", "They promise for its scores as they are."
            raise InvalidValueError(must("logit_adjustment", requirement, "another strength", remedy))
        words = f"topk-lightning {fit.command.format(checkpoint)}"
        if fitted is None:
            more = "" if classes is None else " with the same --classes"
            raise InvalidValueError(
                must("the model", f"have {fit.name} fitted for it", "none", f"Run {words}{more} first.")
            )
        fitted_for = self.classes.get(name)
        if fitted_for != classes:
            for_whom = "all classes" if fitted_for is None else f"a list of {len(fitted_for.indices):,} classes"
            remedy = f"Pass that list with --classes, or run {words} with these classes." if fitted_for else ""
            remedy = remedy or f"Run {words} with the same --classes."
            raise InvalidValueError(must(fit.name, "be fitted for the classes that are possible", for_whom, remedy))
        return fitted
