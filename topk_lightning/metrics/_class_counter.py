"""What a class report counts: ranks class by class, confusions, rows with NaN; over batches and processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from topk_lightning._checks.class_report import check_names, count_of_scores, needs_labels
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
        k: int | Sequence[int],
        class_names: Sequence[str] | Mapping[Any, Any] | None,
        *,
        ignore_index: int | None,
        class_dim: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_integer("num_classes", num_classes, minimum=2)
        self.k = check_ks(k, self.num_classes)
        self.class_names = check_names(class_names, self.num_classes)
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
            confusions=[] if self.is_sparse else torch.zeros(classes, classes, dtype=torch.int64),
        )

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count one batch; zero rows change nothing."""
        dim = check_scores(preds, self.class_dim)
        if preds.shape[dim] != self.num_classes:
            raise count_of_scores(self.num_classes, preds.shape[dim])
        if check_target(target, preds, dim):
            raise needs_labels()
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

    def _counts(self) -> ClassCounts:
        ranks, histogram, nan_rows, state = self.states().values()
        pairs = pairs_of_list(self._parts(state), self.num_classes) if self.is_sparse else pairs_of_table(state)
        return ClassCounts(self._cuts, ranks, histogram, pairs.to(ranks.device), nan_rows)

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
