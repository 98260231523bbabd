"""What a test came to: all that the sections of a report are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from topk_lightning.decisions import SetOutcome
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ClassReport, ReliabilityCurve
from topk_lightning.report._decisions import Decided
from topk_lightning.report._evaluation import Evaluation
from topk_lightning.report._splits import DataSplits
from topk_lightning.report._suspects import Suspects

__all__ = ["Results"]


@dataclass(frozen=True)
class Results:
    """What a test came to.

    Args:
        data: its test images, and what the data knows beyond them.
        class_names: in the order of the model's outputs.
        k: the k that "among the first k" means.
        report: the counts of the test.
        evaluation: what the model says of each test image.
        calibration: confidence against accuracy, as trained.
        scaled: the same with `temperature`; None without one.
        temperature: fitted on validation images, and the bounds of its 95 % interval; None where there is none.
        train_accuracy: top-1 on images of the training; None without them.
        val_accuracy: top-1 on images of the validation; None without them.
        levels: groups of classes by the name of their level, from fine to coarse.
        epochs: where the epoch table comes from, and the table.
        facts: how the report was made, each with its heading.
        hard_images: how many to show of each kind.
        sets: what prediction sets came to, for each promise; none where there are no validation images.
        trained_on: test images that were trained on; None where it is not known.
        decided: what a review plan and the level one is sure of came to.
        possible: which classes are possible, in a sentence; "" where all are.
        unknown: what cannot be told without the images, in a sentence; "" where they are there.
    """

    data: DataSplits
    class_names: Sequence[str]
    k: int
    report: ClassReport
    evaluation: Evaluation
    calibration: ReliabilityCurve
    scaled: ReliabilityCurve | None
    temperature: tuple[float, float, float] | None
    train_accuracy: float | None
    val_accuracy: float | None
    levels: Mapping[str, Hierarchy]
    epochs: tuple[str, Sequence[Mapping[str, Any]]]
    facts: Sequence[tuple[str, str]]
    hard_images: int
    trained_on: int | None = None
    unknown: str = ""
    sets: Sequence[SetOutcome] = ()
    decided: Decided = field(default_factory=Decided)
    possible: str = ""

    @property
    def images(self) -> int:
        """Number of test images."""
        return len(self.evaluation.target)

    @property
    def unreadable(self) -> dict[str, str]:
        """Why an image could not be read, by its name: of the test, and what the data module left out of any split."""
        return self.data.unreadable(self.data.test, self.evaluation.outside.unreadable)

    @cached_property
    def values(self) -> dict[str, Tensor]:
        """What the class report computes."""
        return self.report.compute()

    @cached_property
    def pairs(self) -> Tensor:
        """Actual class, predicted class and count of every pair that occurs, in order (M, 3)."""
        return self.report.confusions()

    @cached_property
    def suspects(self) -> Suspects:
        """Test images whose labels look wrong, and classes that could be one."""
        return Suspects(self.evaluation, self.pairs)

    @property
    def coarsest(self) -> tuple[str, Hierarchy] | None:
        """Name and groups of the coarsest level; None without groups."""
        return list(self.levels.items())[-1] if self.levels else None
