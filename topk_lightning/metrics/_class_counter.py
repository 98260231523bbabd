"""What a class report counts: ranks class by class, confusions, rows with NaN; over batches and processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.class_names import check_class_names, distinct_names
from topk_lightning._checks.options import check_integer, check_ks
from topk_lightning._checks.scores import check_labels, check_scores, check_target
from topk_lightning.metrics._confusions import DENSE_CLASSES, append, compact, pairs_of_list, pairs_of_table
from topk_lightning.metrics._counting import Rows
from topk_lightning.metrics._exact import ExactMetric
from topk_lightning.metrics.class_counts import ClassCounts
from topk_lightning.ranking import count_ahead, topk_indices

__all__ = ["ClassCounter"]


class ClassCounter(ExactMetric):
    """Count the batches of a :class:`ClassReport`, which reads the counts."""

    def __init__(
        self,
        num_classes: int,
        k: int | Sequence[int] | None,
        class_names: Sequence[str] | Mapping[Any, Any] | None,
        *,
        ignore_index: int | None,
        class_dim: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_integer("num_classes", num_classes, minimum=2)
        self.k = check_ks([1, *[k for k in (5, 3) if k < num_classes][:1]] if k is None else k, self.num_classes)
        names = [f"class {index}" for index in range(num_classes)] if class_names is None else class_names
        self.class_names = check_class_names(names, self.num_classes)
        #: The names as they are shown: with the class index where several classes have one name.
        self.distinct_names = distinct_names(self.class_names)
        if ignore_index is not None:
            check_integer("ignore_index", ignore_index, minimum=-(2**63))
        self.ignore_index = ignore_index
        self.class_dim = class_dim
        self._cuts = tuple(sorted({1, *self.k}))
        self.is_sparse = self.num_classes > DENSE_CLASSES
        classes = self.num_classes
        self.add_counts(
            {"k": "_".join(map(str, self._cuts)), "dim": class_dim, "ignore": ignore_index, "classes": classes},
            ranks=torch.zeros(classes, len(self._cuts) + 1, dtype=torch.int64),
            histogram=torch.zeros(classes + 1, dtype=torch.int64),
            nan_rows=torch.zeros((), dtype=torch.int64),
            unranked=torch.zeros((), dtype=torch.int64),
            confusions=[] if self.is_sparse else torch.zeros(classes, classes, dtype=torch.int64),
        )

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count one batch; zero rows change nothing."""
        dim = check_scores(preds, self.class_dim)
        if preds.shape[dim] != self.num_classes:
            wanted = f"hold the scores of {self.num_classes} classes (num_classes)"
            raise InvalidValueError(must("preds", wanted, preds.shape[dim]))
        if check_target(target, preds, dim):
            remedy = "For a distribution over classes use TopKAccuracy."
            raise InvalidTypeError(must("target", "hold class indices", "a float tensor of the shape of preds", remedy))
        target = target.long()  # first: torch would wrap -100 into uint8 as 156
        kept = torch.ones_like(target, dtype=torch.bool) if self.ignore_index is None else target != self.ignore_index
        target = torch.where(kept, target, 0)
        check_labels(target, self.num_classes)
        rank = count_ahead(preds, target, class_dim=dim).reshape(-1)
        best = topk_indices(preds, 1, class_dim=dim)
        # NaN stands first, so the best score tells whether there is one.
        broken = preds.detach().gather(dim, best).isnan().reshape(-1)
        target, best, kept = target.reshape(-1), best.reshape(-1), kept.reshape(-1)

        bucket = torch.bucketize(rank, torch.tensor(self._cuts, device=rank.device), right=True)
        counted = kept & ~broken
        ones = kept.long()
        self.add(
            {
                "ranks": Rows(target * (len(self._cuts) + 1) + bucket, ones),
                "histogram": Rows(rank, ones),
                "nan_rows": (kept & broken).sum(),
                "confusions": None if self.is_sparse else Rows(target * self.num_classes + best, counted.long()),
            }
        )
        if self.is_sparse:
            code = target * self.num_classes + best
            self.set_states({"confusions": append(self.state("confusions"), code, counted)})

    def update_labels(self, predicted: Tensor, target: Tensor) -> None:
        """Count one batch of which only the predicted classes are known; of a report with ``k=1``.

        Args:
            predicted: class indices of the first guesses, (N,) or (N, d1, …).
            target: class indices of the same shape.
        """
        if self._cuts != (1,):
            raise InvalidValueError(must("k", "be 1 where only predicted labels are known", self.k))
        for name, labels in (("predicted", predicted), ("target", target)):
            if labels.is_floating_point() or labels.dtype == torch.bool or labels.is_complex():
                raise InvalidTypeError(must(name, "hold class indices of an integer dtype", labels.dtype))
        if predicted.shape != target.shape:
            raise InvalidValueError(
                must("predicted", f"have the shape of target {tuple(target.shape)}", tuple(predicted.shape))
            )
        predicted, target = predicted.reshape(-1).long(), target.reshape(-1).long()
        if self.ignore_index is not None:
            kept = target != self.ignore_index
            predicted, target = predicted[kept], target[kept]
        check_labels(target, self.num_classes)
        check_labels(predicted, self.num_classes, "predicted")
        pairs, counts = torch.stack([target, predicted], 1).unique(dim=0, return_counts=True)  # type: ignore[no-untyped-call]
        self._add_pairs(pairs, counts)

    def _add_pairs(self, pairs: Tensor, counts: Tensor) -> None:
        """Add actual and predicted classes (M, 2), each as often as it occurred (M,), with unknown ranks of the misses."""
        missed = (pairs[:, 0] != pairs[:, 1]).long()
        code = pairs[:, 0] * self.num_classes + pairs[:, 1]
        self._update_count += 1
        self._computed = None
        self.add(
            {
                "ranks": Rows(pairs[:, 0] * 2 + missed, counts),
                "histogram": Rows(missed, counts),
                "unranked": (missed * counts).sum(),
                "confusions": None if self.is_sparse else Rows(code, counts),
            }
        )
        if self.is_sparse:
            parts = [*self.state("confusions"), torch.stack([code, counts], 1)]
            self.set_states({"confusions": [compact(parts)]})

    def _counts(self) -> ClassCounts:
        ranks, histogram, nan_rows, unranked, state = self.states().values()
        pairs = pairs_of_list(self._parts(state), self.num_classes) if self.is_sparse else pairs_of_table(state)
        return ClassCounts(self._cuts, ranks, histogram, pairs.to(ranks.device), nan_rows, unranked)

    def _parts(self, state: Tensor | list[Tensor]) -> list[Tensor]:
        """Return the list of pairs, which is one tensor once it is gathered and not empty where nothing was seen."""
        if isinstance(state, Tensor):
            return [state]
        return state or [torch.empty(0, 2, dtype=torch.int64, device=self.device)]

    def counts(self) -> ClassCounts:
        """Return what was counted, over all processes."""
        with self.synced():
            return self._counts()

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        # Counting adds in place, so what was loaded must not stay that of the caller.
        for name in self._defaults:
            setattr(self, name, deepcopy(getattr(self, name)))

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any | None = None
    ) -> None:
        # One compacted tensor a process, also where it saw nothing: torchmetrics would put an empty float there.
        if self.is_sparse:
            self.set_states({"confusions": [compact(self._parts(self.state("confusions")))]})
        super()._sync_dist(dist_sync_fn, process_group)
