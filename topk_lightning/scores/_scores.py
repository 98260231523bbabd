"""Scores of images, said to be logits or probabilities, with the classes of the images; in memory or on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must, shown
from topk_lightning._checks.class_names import check_class_names, distinct_names
from topk_lightning._checks.options import check_choice, check_k
from topk_lightning._checks.scores import check_weights
from topk_lightning.ranking import count_ahead, topk_indices
from topk_lightning.scores._arrays import as_ids, as_rows, as_target
from topk_lightning.scores._block import ScoreBlock

__all__ = ["KINDS", "Scores"]

#: What stored values may be.
KINDS = ("logits", "probabilities")

#: Scores in a block: what is made of them, in float64 too, stays small.
_BLOCK = 2**19


class Scores:
    r"""Hold what a classifier said of N images: scores of C classes, with the right class, and names.

    They may come from any framework, and lie in memory or, memory-mapped, on the disk: :meth:`blocks` reads them a few
    rows at a time. Whether they are logits or probabilities is said, never guessed.

    Shape:
        values (N, C); target (N,), or (N, C) for distributions; sample_weight (N,).

    Args:
        values: torch tensor, numpy array (memory-mapped ones stay on the disk), or what numpy makes an array of.
        target: class index of each image of any integer dtype, or a distribution over classes in each row, of a float
            dtype; None: not known.
        kind: "logits" or "probabilities".
        class_names: a list, {index: name} or {name: index}; None: the classes have no names.
        ids: what the images are called, such as their files, each once; None: their numbers.
        sample_weight: weight ≥ 0 of each image; None: all count alike.

    Attributes:
        values: the scores, (N, C), on the CPU; of :meth:`of_topk` (N, k).
        target: as above, int64 or float; None.
        best: classes of :meth:`of_topk`, (N, k), best first; None where the scores of all classes are known.
        progress: called with (rows done, N) by :meth:`blocks`; None.
        unreadable: why an image could not be read, by its name, of images that have no row therefore.

    Raises:
        TypeError: a wrong type or dtype.
        ValueError: shapes that do not belong together, a label out of range, no row, another kind.

    Examples:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
        >>> scores = Scores(logits, [0, 1], kind="logits", class_names=["ant", "bee", "cat"])
        >>> scores
        Scores(2 × 3 logits in torch.float32, with target)
        >>> scores.target_ranks()
        tensor([0, 1])
        >>> for block in scores.blocks():
        ...     print(block.start, block.values.shape)
        0 torch.Size([2, 3])
    """

    def __init__(
        self,
        values: Any,
        target: Any = None,
        *,
        kind: str,
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        ids: Sequence[str] | None = None,
        sample_weight: Any = None,
    ) -> None:
        self.kind = check_choice("kind", kind, KINDS)
        self.values = as_rows(values)
        self.best: Tensor | None = None
        self.class_names = None if class_names is None else check_class_names(class_names, self.values.shape[1])
        self.target = None if target is None else as_target(target, len(self.values), self.values.shape[1])
        self.ids = None if ids is None else as_ids(ids, len(self.values))
        self.sample_weight = None if sample_weight is None else torch.as_tensor(sample_weight)
        if self.sample_weight is not None:
            check_weights(self.sample_weight, self.values.shape[:1])
        self.progress: Callable[[int, int], None] | None = None
        self.unreadable: Mapping[str, str] = {}

    @classmethod
    def of_topk(
        cls,
        best: Any,
        values: Any,
        target: Any = None,
        *,
        kind: str,
        class_names: Sequence[str] | Mapping[Any, Any],
        ids: Sequence[str] | None = None,
        sample_weight: Any = None,
    ) -> Scores:
        """Return the k best classes of each image alone, which answer hits up to k and nothing else.

        Shape:
            best and values (N, k), the rest as above.

        Args:
            best: class indices, best first.
            values: their scores, descending.
            target: as above.
            kind: as above.
            class_names: of all classes, so that their number is known.
            ids: as above.
            sample_weight: as above.

        Examples:
            >>> scores = Scores.of_topk(
            ...     [[2, 0]], [[0.5, 0.3]], [0], kind="probabilities", class_names=["ant", "bee", "cat"]
            ... )
            >>> scores.hits(2)
            tensor([True])
        """
        scores = cls(values, None, kind=kind, ids=ids, sample_weight=sample_weight)
        scores.class_names = check_class_names(class_names)
        scores.best = as_rows(best, "best", whole=True)
        if scores.best.shape != scores.values.shape:
            raise InvalidValueError(
                must("best", f"have the shape of values {tuple(scores.values.shape)}", tuple(scores.best.shape))
            )
        as_target(scores.best.flatten(), scores.best.numel(), scores.num_classes, "best")
        scores.target = None if target is None else as_target(target, len(scores), scores.num_classes)
        return scores

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.values.shape[1] if self.best is None else len(self.class_names or ())

    @property
    def names(self) -> list[str]:
        """Names of the classes for people, each once: "class 0" where they have none."""
        return distinct_names(self.class_names or [f"class {index}" for index in range(self.num_classes)])

    def row_of(self, name: str) -> int:
        """Return the row of the image of this name, of scores whose images have names.

        Raises:
            ValueError: no such image.
        """
        if name not in self._rows:
            raise InvalidValueError(must("name", "be that of an image of the scores", shown(name)))
        return self._rows[name]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids or ())}

    def __len__(self) -> int:
        """Return the number of images N."""
        return len(self.values)

    def __repr__(self) -> str:
        shape = f"{len(self):,} × {self.num_classes:,}"
        what = f"{self.kind} in {self.values.dtype}" if self.best is None else f"{self.values.shape[1]} best classes"
        return f"{type(self).__name__}({shape} {what}, {'no' if self.target is None else 'with'} target)"

    def blocks(self, question: str = "this question", rows: int | None = None) -> Iterator[ScoreBlock]:
        """Yield all rows in order, some at a time.

        Args:
            question: what the scores of all classes are asked for, for the error of scores that hold the k best alone.
            rows: how many at a time; None: about half a million scores.

        Raises:
            ValueError: the k best of each row alone.
        """
        self.check_whole(question)
        step = rows or max(1, _BLOCK // self.values.shape[1])
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            values = self.values[part]
            if values.data_ptr() % values.element_size():  # of an archive, where numbers may lie anywhere
                values = values.clone()
            target = None if self.target is None else self.target[part]
            weight = None if self.sample_weight is None else self.sample_weight[part]
            yield ScoreBlock(start, values, target, weight, self.kind)
            if self.progress is not None:
                self.progress(min(start + step, len(self)), len(self))

    def check_whole(self, question: str) -> None:
        """Raise where the k best classes of each image alone are known."""
        if self.best is not None:
            wanted = f"hold the scores of all classes for {question}"
            remedy = f"They answer how often the class is among the first k, up to {self.best.shape[1]}."
            raise InvalidValueError(must("scores", wanted, f"the {self.best.shape[1]} best of each row", remedy))

    def labels(self, question: str = "this question") -> Tensor:
        """Return the class index of each image (N,).

        Args:
            question: what the classes are asked for, for the error where there are none.

        Raises:
            ValueError: no target, or distributions over classes.
        """
        if self.target is None:
            raise InvalidValueError(must("scores", f"have a target for {question}", "none"))
        if self.target.ndim == 2:
            actual = "distributions over classes"
            raise InvalidValueError(must("target", f"hold one class an image for {question}", actual))
        return self.target

    def target_ranks(self) -> Tensor:
        """Return how many classes stand ahead of each target (N,), by the order rule of :mod:`topk_lightning.ranking`.

        Of the k best alone: k where the target is none of them.
        """
        label = self.labels("the rank of the target")
        if self.best is not None:
            hits = self.best == label.unsqueeze(1)
            return torch.where(hits.any(1), hits.int().argmax(1), self.best.shape[1])
        parts = [count_ahead(block.values, label[block.start : block.start + len(block)]) for block in self.blocks()]
        return torch.cat(parts)

    def hits(self, k: int) -> Tensor:
        """Return whether the target of each image is among its k best classes (N,).

        Args:
            k: at most C; of the k best alone, at most so many.
        """
        check_k(k, self.num_classes)
        if self.best is not None and k > self.best.shape[1]:
            self.check_whole(f"k = {k}")
        return self.target_ranks() < k

    def topk(self, k: int) -> Tensor:
        """Return the k best classes of each image (N, k), best first.

        Args:
            k: as in :meth:`hits`.
        """
        check_k(k, self.num_classes)
        if self.best is not None and k <= self.best.shape[1]:
            return self.best[:, :k]
        return torch.cat([topk_indices(block.values, k) for block in self.blocks(f"k = {k}")])
