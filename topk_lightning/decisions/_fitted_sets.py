"""What prediction sets are once they are fitted: options, thresholds, plain data to keep them as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must, shown
from topk_lightning.decisions._fitted_scores import FittedScores, Thresholds
from topk_lightning.decisions._rows import ScoreRows
from topk_lightning.decisions._set_options import SetOptions

__all__ = ["FittedSets"]

Sets = TypeVar("Sets", bound="FittedSets")


class FittedSets:
    """The state of :class:`PredictionSets`.

    Args:
        options: its options, checked.
    """

    def __init__(self, options: SetOptions) -> None:
        self.options = options
        self._fitted: FittedScores | None = None
        self._thresholds: Thresholds | None = None

    @property
    def coverage(self) -> float:
        """The promise c."""
        return self.options.coverage

    @property
    def temperature(self) -> float:
        """By which logits are divided before the softmax."""
        return self.options.temperature

    @property
    def fitted(self) -> FittedScores:
        """What the fit keeps.

        Raises:
            ValueError: no fit.
        """
        if self._fitted is None:
            remedy = "Call fit(scores, target) with validation images first."
            raise InvalidValueError(must("sets", "be fitted before they are used", "none that are", remedy))
        return self._fitted

    @property
    def images(self) -> int:
        """Number n of images of the fit."""
        return len(self.fitted.scores)

    @property
    def thresholds(self) -> Thresholds:
        """Up to which score a class is shown: of all images, and of each class or group."""
        if self._thresholds is None:
            self._thresholds = self.fitted.thresholds(self.coverage)
        return self._thresholds

    @property
    def too_few(self) -> list[str]:
        """Names of the classes or groups that have too few images for a threshold of their own."""
        fitted = self.fitted
        names = fitted.key_names if fitted.key_names is not None else fitted.class_names
        return [names[key] if names else str(key) for key in self.thresholds.too_few]

    def at(self: Sets, coverage: float) -> Sets:
        """Return the same fit with another promise."""
        other = type(self)(**{**self.options.as_dict(), "coverage": coverage})
        other._fitted = self._fitted
        return other

    def as_dict(self) -> dict[str, Any]:
        """Return options and fit as plain data: tensors, numbers, texts and lists, as a checkpoint keeps them."""
        return {**self.options.as_dict(), "fitted": self.fitted.as_dict()}

    @classmethod
    def from_dict(cls: type[Sets], plain: Mapping[str, Any]) -> Sets:
        """Return the sets of :meth:`as_dict`.

        Raises:
            ValueError: something else.
        """
        if not isinstance(plain, Mapping) or not isinstance(plain.get("fitted"), Mapping):
            raise InvalidValueError(must("the fit", "be what PredictionSets.as_dict returned", "something else"))
        sets = cls(**{name: value for name, value in plain.items() if name != "fitted"})
        sets._fitted = FittedScores.from_dict(plain["fitted"])
        return sets

    def __repr__(self) -> str:
        fit = "not fitted" if self._fitted is None else f"fitted on {self.images:,} images"
        return f"{type(self).__name__}({self.options.method!r}, {self.coverage:g}, {fit})"

    def checked_fit(self, rows: ScoreRows) -> FittedScores:
        """Return the fit if its classes are those of the rows."""
        fitted, names = self.fitted, rows.class_names
        if rows.num_classes != fitted.num_classes:
            wanted = f"have the {fitted.num_classes} classes of the fit"
            raise InvalidValueError(must("scores", wanted, rows.num_classes))
        if names is not None and fitted.class_names is not None and names != fitted.class_names:
            first = next(i for i in range(len(names)) if names[i] != fitted.class_names[i])
            wanted = f"have the classes of the fit, {shown(fitted.class_names[first])} for class {first}"
            raise InvalidValueError(must("scores", wanted, shown(names[first])))
        return fitted

    def uniform(self, rows: int, generator: torch.Generator | None) -> Tensor | None:
        """Return u of each row (N,), float64; None where the sets are not randomised."""
        if not self.options.randomised:
            return None
        device = torch.device("cpu") if generator is None else generator.device
        return torch.rand(rows, generator=generator, dtype=torch.float64, device=device)

    def keys_at_fit(self, label: Tensor, group: Any, num_classes: int) -> dict[str, Any]:
        """Return the class or group of each image (N,), their number, and what groups are called."""
        if self.options.by == "group":
            names = _group_of_images(group, len(label))
            distinct = sorted(set(names))
            index_of = {name: index for index, name in enumerate(distinct)}
            keys = torch.tensor([index_of[name] for name in names])
            return {"keys": keys, "num_keys": len(distinct), "key_names": distinct}
        self._refuse_group(group)
        of_class = self.options.key_of_class(num_classes)
        if of_class is None:
            return {"keys": None}
        names_of_groups = None if self.options.by == "class" else [f"group {g}" for g in range(int(of_class.max()) + 1)]
        return {"keys": of_class[label.cpu()], "num_keys": int(of_class.max()) + 1, "key_names": names_of_groups}

    def keys_at_use(self, group: Any, rows: int) -> Tensor | None:
        """Return the place of each image's group (N,), −1 for one that was not there at fit; None without groups."""
        if self.options.by != "group":
            self._refuse_group(group)
            return None
        index_of = {name: index for index, name in enumerate(self.fitted.key_names or ())}
        return torch.tensor([index_of.get(name, -1) for name in _group_of_images(group, rows)])

    def _refuse_group(self, group: Any) -> None:
        if group is not None:
            raise InvalidValueError(must("group", 'be None where by is not "group"', "groups"))


def _group_of_images(group: Sequence[Any] | Tensor | None, rows: int) -> list[str]:
    if group is None:
        raise InvalidValueError(must("group", 'say the group of each image where by is "group"', None))
    names = [str(name) for name in (group.tolist() if isinstance(group, Tensor) else group)]
    if len(names) != rows:
        raise InvalidValueError(must("group", f"hold {rows} groups, one an image", len(names)))
    return names
