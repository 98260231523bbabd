"""The options of prediction sets, checked, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must, shown
from topk_lightning._checks.losses import check_at_least_zero
from topk_lightning._checks.options import check_choice, check_integer, check_positive
from topk_lightning.decisions._conformal_scores import METHODS, ScoreRule
from topk_lightning.decisions._quantile import check_coverage

__all__ = ["SetOptions", "log_shares"]


@dataclass(frozen=True)
class SetOptions:
    """What :class:`PredictionSets` is made with; the same words."""

    method: str = "lac"
    coverage: float = 0.9
    temperature: float = 1.0
    by: Any = None
    prevalence: Any = None
    penalty: float = 0.01
    k: int = 5
    randomised: bool = False
    allow_empty: bool = False

    def checked(self) -> SetOptions:
        """Return them as plain data, or raise."""
        method = check_choice("method", self.method, METHODS)
        if self.randomised and method not in ("aps", "raps"):
            raise InvalidValueError(must("randomised", 'be False for a method other than "aps" and "raps"', True))
        if self.prevalence is not None and method != "lac":
            raise InvalidValueError(must("prevalence", 'be None for a method other than "lac"', "one"))
        return replace(
            self,
            coverage=check_coverage(self.coverage),
            temperature=check_positive("temperature", self.temperature),
            by=_check_by(self.by),
            prevalence=_check_prevalence(self.prevalence),
            penalty=check_at_least_zero("penalty", self.penalty),
            k=check_integer("k", self.k, minimum=0),
            randomised=bool(self.randomised),
            allow_empty=bool(self.allow_empty),
        )

    def rule(self, log_prevalence: Tensor | None) -> ScoreRule:
        """Return by which classes are scored."""
        return ScoreRule(self.method, self.temperature, self.penalty, self.k, self.randomised, log_prevalence)

    def key_of_class(self, num_classes: int) -> Tensor | None:
        """Return which threshold each class has (C,); None where that does not depend on the class."""
        if self.by == "class":
            return torch.arange(num_classes)
        if self.by is None or self.by == "group":
            return None
        if len(self.by) != num_classes:
            raise InvalidValueError(must("by", f"hold the group of each of {num_classes} classes", len(self.by)))
        return torch.tensor(self.by)

    def as_dict(self) -> dict[str, Any]:
        """Return them as numbers, texts and lists."""
        return asdict(self)


def _check_by(by: object) -> Any:
    if by is None or by in ("class", "group"):
        return by
    if isinstance(by, Tensor):
        by = by.tolist()
    if isinstance(by, str) or not isinstance(by, Sequence):
        wanted = 'be None, "class", "group" or the group of each class'
        raise InvalidValueError(must("by", wanted, shown(by)))
    return [check_integer("by", group, minimum=0) for group in by]


def _check_prevalence(prevalence: object) -> Any:
    if prevalence is None or prevalence == "fit":
        return prevalence
    counts = torch.as_tensor(prevalence, dtype=torch.float64) if not isinstance(prevalence, str) else torch.empty(0)
    if counts.ndim != 1 or not len(counts) or not (counts.isfinite() & (counts >= 0)).all():
        wanted = 'be None, "fit" or a number ≥ 0 for each class'
        raise InvalidTypeError(must("prevalence", wanted, shown(prevalence)))
    return counts.tolist()


def log_shares(prevalence: Any, label: Tensor, num_classes: int) -> Tensor | None:
    """Return the log of the share of each class (C,), with one image more of each; None where none is asked for."""
    if prevalence is None:
        return None
    counts = torch.bincount(label.cpu(), minlength=num_classes).tolist() if prevalence == "fit" else prevalence
    if len(counts) != num_classes:
        raise InvalidValueError(must("prevalence", f"hold a number for each of {num_classes} classes", len(counts)))
    more = torch.tensor(counts, dtype=torch.float64)
    return ((more + 1) / (more + 1).sum()).log()
