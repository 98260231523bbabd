"""Only the classes that live here: a list of allowed classes, or a weight for each, put before everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must, shown
from topk_lightning._checks.class_names import check_different_names
from topk_lightning._checks.options import check_number
from topk_lightning._files import csv_rows
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.scores import Scores

__all__ = ["ClassList"]

_ARGUMENT = "classes"


@dataclass(frozen=True)
class ClassList:
    r"""Hold which classes are possible, and how much more or less often than in training they occur.

    The scores of the others are left out, and the logarithm of a weight is added to a score:
    :math:`p'_c = w_c p_c / \sum_j w_j p_j`. If a class is w times as frequent here as it was in training, all else being
    equal, this is what Bayes' rule asks for.

    Args:
        indices: of the allowed classes among the model's, ascending.
        weights: of each of them, > 0.
        class_names: names of the allowed classes.
        num_classes: number of the model's classes C.

    Examples:
        >>> here = ClassList.of(["lynx", "wolf"], ["lion", "lynx", "wolf"])
        >>> here.logits(torch.tensor([[3.0, 1.0, 1.0]])).softmax(1)
        tensor([[0.5000, 0.5000]])
        >>> winter = ClassList.of({"lion": 0, "lynx": 3, "wolf": 1}, ["lion", "lynx", "wolf"])
        >>> winter.logits(torch.tensor([[3.0, 1.0, 1.0]])).softmax(1)
        tensor([[0.7500, 0.2500]])

    Source: Saerens, Latinne and Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, 2002.
    """

    indices: tuple[int, ...]
    weights: tuple[float, ...]
    class_names: tuple[str, ...]
    num_classes: int

    @classmethod
    def of(cls, given: Any, class_names: Sequence[str]) -> ClassList:
        """Return the list that `given` describes.

        Args:
            given: names of the allowed classes, {name: weight}, or a text file with a line for each allowed class, its name
                or name,weight as csv. A weight of 0 leaves a class out, as does not naming it.
            class_names: names of the model's classes.

        Raises:
            TypeError: anything else.
            FileNotFoundError: no such file.
            ValueError: a class that the model does not have, or one that is named twice; a weight below 0; no class left.
        """
        if isinstance(given, ClassList):
            return given
        if isinstance(given, str | Path):
            weights = _read(Path(given))
        elif isinstance(given, Mapping):
            weights = _different(list(given.items()), "the dict")
        elif isinstance(given, Sequence):
            weights = _different([(name, 1.0) for name in given], "the list")
        else:
            raise InvalidTypeError(must(_ARGUMENT, "be names, a dict {name: weight} or a file", type(given).__name__))
        index = {name: number for number, name in enumerate(check_different_names(class_names))}
        unknown = [name for name in weights if name not in index]
        if unknown:
            known = ", ".join(map(shown, class_names[:5])) + (" and more" if len(class_names) > 5 else "")
            missing = ", ".join(map(shown, unknown[:5])) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            raise InvalidValueError(must(_ARGUMENT, "name classes of the model", missing, f"Its classes are {known}."))
        for name, weight in weights.items():
            if check_number(f"the weight of {shown(name)}", weight) < 0:
                raise InvalidValueError(must(f"the weight of {shown(name)}", "be at least 0", weight))
        chosen = sorted((index[name], float(weight), name) for name, weight in weights.items() if weight > 0)
        if not chosen:
            raise InvalidValueError(must(_ARGUMENT, "leave at least one class", "none"))
        indices, of_class, names = zip(*chosen, strict=True)
        return cls(indices, of_class, names, len(class_names))

    def logits(self, logits: Tensor) -> Tensor:
        """Return the logits of the allowed classes (N, A) from those of all (N, C), in the same dtype or float32.

        Shape:
            (N, C) to (N, A).

        Raises:
            ValueError: another number of classes.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise InvalidValueError(must("logits", f"have shape (N, {self.num_classes})", tuple(logits.shape)))
        chosen = logits[:, torch.tensor(self.indices, device=logits.device)]
        if all(weight == 1 for weight in self.weights):
            return chosen
        wide = chosen if chosen.dtype == torch.float64 else chosen.float()
        return wide + torch.tensor(self.weights, dtype=torch.float64, device=logits.device).log().to(wide.dtype)

    def target(self, target: Tensor) -> Tensor:
        """Return the index among the allowed classes (N,) of class indices among all (N,); −1 of a class that is not."""
        new_index = torch.full((self.num_classes,), -1, device=target.device)
        new_index[list(self.indices)] = torch.arange(len(self.indices), device=target.device)
        return new_index[target]

    def scores(self, scores: Scores) -> Scores:
        """Return the scores of the allowed classes; images of other classes, which do not live here, are left out.

        Raises:
            ValueError: no image left, other classes than the model's.
        """
        values = torch.cat([self.logits(block.logits) for block in scores.blocks("a list of classes")])
        if scores.target is None:
            return Scores(values, None, kind="logits", class_names=self.class_names, ids=scores.ids)
        target = self.target(scores.labels("a list of classes"))
        kept = (target >= 0).nonzero().flatten()
        if not len(kept):
            raise InvalidValueError(must("scores", "hold an image of an allowed class", "none"))
        ids = None if scores.ids is None else [scores.ids[row] for row in kept.tolist()]
        weight = None if scores.sample_weight is None else scores.sample_weight[kept]
        return Scores(
            values[kept], target[kept], kind="logits", class_names=self.class_names, ids=ids, sample_weight=weight
        )

    def level(self, level: Hierarchy) -> Hierarchy:
        """Return the groups of the allowed classes; a group of which no class is allowed goes."""
        kept = [level.groups[index] for index in self.indices]
        new_index = {group: number for number, group in enumerate(sorted(set(kept)))}
        names = None if level.coarse_names is None else tuple(level.coarse_names[group] for group in new_index)
        return Hierarchy(tuple(new_index[group] for group in kept), names, self.class_names)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        lists = {name: list(getattr(self, name)) for name in ("indices", "weights", "class_names")}
        return {**lists, "num_classes": self.num_classes}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassList:
        """Return the list of :meth:`to_dict`."""
        indices, weights, names = (tuple(values[name]) for name in ("indices", "weights", "class_names"))
        return cls(indices, weights, names, values["num_classes"])

    @property
    def sentence(self) -> str:
        """What is done, in one sentence."""
        weighted = "" if all(weight == 1 for weight in self.weights) else ", each by its weight"
        return f"Only {len(self.indices):,} of {self.num_classes:,} classes are possible{weighted}; probabilities are theirs alone."


def _read(path: Path) -> dict[str, float]:
    rows = csv_rows(path, _ARGUMENT, "a text file in UTF-8")
    if rows and [cell.strip().lower() for cell in rows[0][1]] in (["class"], ["class", "weight"]):
        rows.pop(0)
    pairs = []
    for number, row in rows:
        try:
            pairs.append((row[0], float(row[1]) if len(row) > 1 else 1.0))
        except ValueError:
            row = [*row, "", ""]
        if len(row) > 2:
            remedy = "A name with a comma stands in quotes."
            raise InvalidValueError(
                must(
                    f"line {number} of {path}", "hold a class, or class,weight", shown(",".join(row).strip(",")), remedy
                )
            )
    return _different(pairs, str(path))


def _different(pairs: Sequence[tuple[str, float]], where: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for name, weight in pairs:
        if name in weights:
            raise InvalidValueError(must(_ARGUMENT, "name each class once", f"{shown(name)} twice in {where}"))
        weights[name] = weight
    return weights
