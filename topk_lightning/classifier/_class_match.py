"""Which class of a model each class of some data is: by name, in one place for training, test, report and prediction."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from topk_lightning._checks import InvalidValueError, must, shown
from topk_lightning._checks.scores import check_labels

__all__ = ["ClassMatch", "match_classes"]


@dataclass(frozen=True)
class ClassMatch:
    """Turn the class indices of some data into those of a model: ``match(target)``.

    Args:
        indices: the index of the model's class for each class of the data, in the order of the data.
        num_classes: number of classes of the model, C.
        by_name: whether classes were recognised by name; otherwise the data's own indices are used.
        remark: what people should know of it, one sentence; empty where the data has the model's classes in its order.
    """

    indices: tuple[int, ...]
    num_classes: int
    by_name: bool = True
    remark: str = ""

    @property
    def is_identity(self) -> bool:
        """Whether a target stays as it is."""
        return self.indices == tuple(range(self.num_classes))

    def counts(self, counts: Sequence[int]) -> list[int]:
        """Return numbers of the data's classes for the model's classes, in its order; 0 for those that the data lacks."""
        by_index = dict(zip(self.indices, counts, strict=True))
        return [by_index.get(index, 0) for index in range(self.num_classes)]

    def __call__(self, target: Tensor) -> Tensor:
        """Return the target of the model.

        Shape:
            (N,) of class indices of the data, to (N,); float (N, D) of distributions over the data's D classes, to (N, C).
            Negative indices, such as those that a loss ignores, stay as they are.

        Raises:
            ValueError: an index that the data names no class for.
        """
        if self.is_identity:
            return target
        indices = target.new_tensor(self.indices, dtype=None if target.is_floating_point() else target.dtype).long()
        if target.is_floating_point() and target.ndim > 1 and target.shape[1] == len(indices):
            spread = target.new_zeros(target.shape[0], self.num_classes, *target.shape[2:])
            return spread.index_copy(1, indices, target)
        counts = target >= 0
        check_labels(target[counts], len(indices))
        return indices[target.long().clamp(min=0)].to(target.dtype).where(counts, target)


def match_classes(model: Sequence[str] | None, data: Sequence[str], num_classes: int) -> ClassMatch:
    """Return which class of a model each class of some data is.

    Classes are recognised by name, in whatever order the data has them, and the data may lack some. Where the data has as
    many classes and none of the names (folders n01440764, … of classes that people call tench, …), the indices are taken
    for the same. Everything else is an error that names the class.

    Args:
        model: names of the model's classes in the order of its outputs; None: not known.
        data: names of the data's classes in the order of its class indices.
        num_classes: number of classes of the model.

    Raises:
        ValueError: a class of the data that the model does not know, another number of classes where the names do not say
            which they are, a name that two classes have where names decide.

    Examples:
        >>> match = match_classes(["ant", "bee", "cat"], ["cat", "bee"], 3)
        >>> match.indices
        (2, 1)
        >>> match.remark
        "The data has 2 of the model's 3 classes; they are recognised by name: its class 0,
        'cat', is the model's class 2."
    """
    if model is None or list(model) == list(data):
        if len(data) != num_classes:
            raise InvalidValueError(
                must("num_classes", f"be {len(data)}, the number of classes of the data", num_classes)
            )
        return ClassMatch(tuple(range(num_classes)), num_classes)
    index = {name: number for number, name in enumerate(model)}
    unknown = [name for name in data if name not in index]
    if len(unknown) == len(data) == num_classes:
        remark = (
            f"The model knows none of the data's class names ({shown(data[0])}, …), so classes are taken by their index: "
            f"class 0 is its {shown(model[0])}."
        )
        return ClassMatch(tuple(range(num_classes)), num_classes, by_name=False, remark=remark)
    if unknown:
        near = difflib.get_close_matches(unknown[0], model, n=1)
        known = ", ".join(map(shown, model[:5])) + (f" and {num_classes - 5} more" if num_classes > 5 else "")
        remedy = f"Did you mean {shown(near[0])}?" if near else f"The model's classes are {known}."
        raise InvalidValueError(must("data", "hold classes of the model only", shown(unknown[0]), remedy))
    for whose, names in (("model", model), ("data", data)):
        name, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise InvalidValueError(
                must("class_names", f"name each class of the {whose} differently", f"{shown(name)} {count} times",
                     "They are matched by name, since the data has other classes or another order than the model.")
            )  # fmt: skip
    indices = tuple(index[name] for name in data)
    if len(data) == num_classes:
        what = "The data has the model's classes in another order"
    else:
        what = f"The data has {len(data)} of the model's {num_classes} classes"
    moved = next((at for at, to in enumerate(indices) if at != to), None)
    example = (
        "" if moved is None else f": its class {moved}, {shown(data[moved])}, is the model's class {indices[moved]}"
    )
    return ClassMatch(indices, num_classes, remark=f"{what}; they are recognised by name{example}.")
