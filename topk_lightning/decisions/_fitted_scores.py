"""What a fit of prediction sets keeps: the scores of the right classes, from which a threshold follows for any coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.decisions._quantile import conformal_quantile, fewest_images

__all__ = ["FittedScores", "Thresholds"]


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Up to which score a class is shown.

    Attributes:
        common: of all images together; +inf where they are too few.
        by_key: of each class or group (G,); None where there are none.
        too_few: indices of the classes or groups with too few images, which use the common one.
    """

    common: float
    by_key: Tensor | None
    too_few: tuple[int, ...] = ()

    def of(self, key_of_class: Tensor | None, key_of_row: Tensor | None, device: torch.device) -> Tensor | float:
        """Return what a score (n, C) is held against: a number, (C,) or (n, 1); a key of −1 means the common one."""
        if self.by_key is None:
            return self.common
        if key_of_class is not None:
            return self.by_key[key_of_class].to(device)
        if key_of_row is None:
            return self.common
        return torch.where(key_of_row < 0, self.common, self.by_key[key_of_row.clamp(min=0)]).unsqueeze(1).to(device)


@dataclass(frozen=True, eq=False)
class FittedScores:
    """The scores of the right classes of n images.

    Args:
        scores: (n,) ascending, float64; +inf for an image that is never covered.
        num_classes: C.
        class_names: of the C classes; None where they are not known.
        keys: class or group of each image (n,), int64; None: there is one threshold.
        num_keys: number of classes or groups G.
        key_names: what the groups are called; None: these are classes.
        weight: weight of each image (n,); None: all count alike.
        log_prevalence: log of the share of each class (C,), which its score holds; None: none.
    """

    scores: Tensor
    num_classes: int
    class_names: list[str] | None = None
    keys: Tensor | None = None
    num_keys: int = 0
    key_names: list[str] | None = None
    weight: Tensor | None = None
    log_prevalence: Tensor | None = None

    @classmethod
    def of(cls, scores: Tensor, *, keys: Tensor | None, weight: Tensor | None, **more: Any) -> FittedScores:
        """Return the scores in order, with the keys and weights of their images."""
        scores, order = scores.cpu().sort(stable=True)
        keys = None if keys is None else keys.cpu()[order]
        return cls(scores, keys=keys, weight=None if weight is None else weight.cpu()[order].double(), **more)

    def thresholds(self, coverage: float) -> Thresholds:
        """Return the thresholds for a coverage; a key with fewer than ⌈1/(1 − c)⌉ − 1 images uses the common one."""
        common = conformal_quantile(self.scores, coverage, self.weight)
        if self.keys is None:
            return Thresholds(common, None)
        of_key, least = torch.full((self.num_keys,), common, dtype=torch.float64), fewest_images(coverage)
        order = self.keys.sort(stable=True).indices  # within a key the scores stay ascending
        images = torch.bincount(self.keys, minlength=self.num_keys).tolist()
        for key, members in enumerate(torch.split(order, images)):
            if len(members) >= least:
                weight = None if self.weight is None else self.weight[members]
                of_key[key] = conformal_quantile(self.scores[members], coverage, weight)
        return Thresholds(common, of_key, tuple(key for key, count in enumerate(images) if count < least))

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as tensors, numbers and texts."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> FittedScores:
        """Return what :meth:`as_dict` returned, or what JSON has made of it."""
        parts = dict(plain)
        for name, dtype in (
            ("scores", torch.float64),
            ("keys", torch.int64),
            ("weight", torch.float64),
            ("log_prevalence", torch.float64),
        ):
            if isinstance(parts.get(name), list):  # JSON has no infinity
                parts[name] = torch.tensor([float("inf") if n is None else n for n in parts[name]], dtype=dtype)
        try:
            fitted = cls(**parts)
            rows = len(fitted.scores)
            is_whole = fitted.scores.dtype == torch.float64 and fitted.scores.shape == (rows,) and rows > 0
        except (TypeError, AttributeError, KeyError):
            is_whole = False
        if not is_whole:
            raise InvalidValueError(must("the fit", "be what PredictionSets.as_dict returned", "something else"))
        return fitted
