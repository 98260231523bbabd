"""What is said of images besides their best classes: the pile of a review, the level one is sure of, the group of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

import topk_lightning.decisions as decisions
from topk_lightning._topk_prediction import TopKPrediction
from topk_lightning.decisions import ClassList, group_of_set
from topk_lightning.hierarchy import Hierarchy, read_levels
from topk_lightning.prediction._set_files import promised_sets
from topk_lightning.prediction._topk_predictions import topk_predictions
from topk_lightning.prediction._trained_model import TrainedModel

if TYPE_CHECKING:
    from topk_lightning.decisions import PredictionSets, ReviewPlan, RollUp, SureAnswer

__all__ = ["Answer", "Decider"]


class Answer(NamedTuple):
    """What is said of an image.

    Attributes:
        predictions: its best classes, best first; of prediction sets as many as the set holds.
        pile: "accept", "list" or "person", where there is a review plan.
        sure: the finest class or group that is probable enough, where that was asked for.
        group: level and name of the group that the set is, where it is one.
    """

    predictions: tuple[TopKPrediction, ...]
    pile: str | None = None
    sure: SureAnswer | None = None
    group: tuple[str, str] | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; what was not asked for is left out."""
        best = [{"class": p.label, "index": p.index, "probability": p.probability} for p in self.predictions]
        plain: dict[str, Any] = {"predictions": best}
        if self.pile is not None:
            plain["pile"] = self.pile
        if self.group is not None:
            plain["group"] = dict(zip(("level", "name"), self.group, strict=True))
        if self.sure is not None:
            levels = [dict(zip(("level", "name", "probability"), each, strict=True)) for each in self.sure.by_level]
            plain["sure"] = {"level": self.sure.level, "name": self.sure.label, "levels": levels}
        return plain


@dataclass(frozen=True, eq=False)
class Decider:
    """Say from logits what is asked for; it needs no network.

    Args:
        class_names: of all classes; None: their indices as text.
        k: how many classes; None: those on the list of the plan, or 5, or all where there are fewer.
        classes: the classes that are possible, before everything else; None: all.
        sets: prediction sets, instead of the k best.
        plan: says the pile.
        sure: says a class or a group.
        levels: groups of the possible classes, by which a set may be one group.

    Examples:
        >>> decide = Decider(
        ...     ["ant", "bee", "cat"], k=1, classes=ClassList.of(["bee", "cat"], ["ant", "bee", "cat"])
        ... )
        >>> decide(torch.tensor([[9.0, 1.0, 3.0]]))[0].predictions
        (TopKPrediction(label='cat', index=2, probability=0.8807970285415649),)
    """

    class_names: Sequence[str] | None = None
    k: int | None = None
    classes: ClassList | None = None
    sets: PredictionSets | None = None
    plan: ReviewPlan | None = None
    sure: RollUp | None = None
    levels: Mapping[str, Hierarchy] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: TrainedModel,
        *,
        k: int | None = None,
        coverage: float | None = None,
        sure: float | str | None = None,
        hierarchy: Any = None,
    ) -> Decider:
        """Return what a model says by what was fitted for it; its review plan, where it has one, says the pile.

        Args:
            model: with what stands in its checkpoint, and the classes that are possible.
            k: how many classes.
            coverage: show prediction sets that hold the right class with this probability.
            sure: say the finest class or group with at least this probability; "fit": by the threshold that was fitted.
            hierarchy: groups of classes, as :func:`topk_lightning.hierarchy.read_levels` takes them; None: those that
                the threshold was fitted with.

        Raises:
            ValueError: what is not fitted, or for other classes.
        """
        fitted, usable, classes = model.fitted, model.fits, model.classes
        given = classes, str(model.path or "CHECKPOINT"), model.adjustment is not None
        names = model.class_names if classes is None else list(classes.class_names)
        sets = None if coverage is None else promised_sets(fitted.get("sets", *given), coverage)
        levels = {} if hierarchy is None else read_levels(hierarchy, names or ())
        if sure == "fit":
            says: RollUp | None = fitted.get("sure", *given)
        else:
            says = None if sure is None else decisions.RollUp.at(float(sure), levels, names or ())
        if says is None and hierarchy is None and usable.sure is not None:
            levels = dict(usable.sure.levels)
        return cls(model.class_names, k, classes, sets, usable.plan, says, levels)

    def __call__(self, logits: Tensor, *, kind: str = "logits") -> list[Answer]:
        """Return what is said of each row.

        Args:
            logits: (N, C), of all classes.
            kind: what they are: "logits" or "probabilities".
        """
        names = self.class_names
        if self.classes is not None:
            logits = self.classes.logits(logits.log() if kind == "probabilities" else logits)
            names, kind = self.classes.class_names, "logits"
        named = names if names is None else list(names)
        if self.sets is not None:
            rows = self.sets.predict(logits, named, kind=kind)
        else:
            most = logits.shape[-1]
            k = self.default_k(most) if self.k is None else self.k
            rows = list(topk_predictions(logits, named, k, input=kind))  # type: ignore[arg-type]
        if not rows:
            return []
        cpu, classes = logits.detach().cpu(), logits.shape[-1]
        piles = (
            [] if self.plan is None else [decisions.PILES[pile] for pile in self.plan.piles(cpu, kind=kind).tolist()]
        )
        sure = [] if self.sure is None else self.sure.answers(cpu, kind=kind)
        return [
            Answer(
                self._numbered(row),
                piles[place] if piles else None,
                sure[place] if sure else None,
                self._group(row, classes),
            )
            for place, row in enumerate(rows)
        ]

    def default_k(self, num_classes: int) -> int:
        """Return how many classes are named where nobody says: those on the list of the plan, or 5, or all."""
        has_lists = self.plan is not None and self.plan.list_threshold < float("inf")
        return min(self.plan.k if has_lists else 5, num_classes)  # type: ignore[union-attr]

    def _group(self, row: Sequence[TopKPrediction], num_classes: int) -> tuple[str, str] | None:
        if self.sets is None or not self.levels:
            return None
        members = torch.zeros(num_classes, dtype=torch.bool)
        members[[each.index for each in row]] = True
        return group_of_set(members, self.levels)

    def _numbered(self, row: tuple[TopKPrediction, ...]) -> tuple[TopKPrediction, ...]:
        """Return predictions with the index that their class has among all."""
        if self.classes is None:
            return row
        return tuple(TopKPrediction(p.label, self.classes.indices[p.index], p.probability) for p in row)
