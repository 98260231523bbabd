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
from topk_lightning.metrics._confusions import DENSE_CLASSES, add_at, append, compact, pairs_of_list, pairs_of_table
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
        # As in TopKAccuracy, the names of the states carry every setting, so that no collection takes two for one.
        ignored = "none" if ignore_index is None else str(ignore_index).replace("-", "minus")
        dim = str(class_dim).replace("-", "minus")
        ks = "_".join(map(str, self._cuts))
        key = f"{type(self).__name__}_k{ks}_dim{dim}_ignore{ignored}_classes{self.num_classes}"
        self._ranks, self._histogram = f"ranks_{key}", f"histogram_{key}"
        self._confusions, self._nan_rows = f"confusions_{key}", f"nan_rows_{key}"
        self.is_sparse = self.num_classes > DENSE_CLASSES
        shapes = {self._ranks: (self.num_classes, len(self._cuts) + 1), self._histogram: (self.num_classes + 1,)}
        shapes[self._nan_rows] = ()
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        if self.is_sparse:
            self.add_state(self._confusions, [], dist_reduce_fx="cat")
        else:
            table = torch.zeros(self.num_classes, self.num_classes, dtype=torch.int64)
            self.add_state(self._confusions, table, dist_reduce_fx="sum")

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
        self._update_state(self._ranks, add_at, target * (len(self._cuts) + 1) + bucket, kept)
        self._update_state(self._histogram, add_at, rank, kept)
        self._update_state(self._nan_rows, add_at, torch.zeros_like(rank), kept & broken)
        add = append if self.is_sparse else add_at
        self._update_state(self._confusions, add, target * self.num_classes + best, counted)

    def _update_state(self, name: str, add: Callable[..., Any], *rows: Tensor) -> None:
        setattr(self, name, add(getattr(self, name), *rows))

    def _counts(self) -> ClassCounts:
        state = getattr(self, self._confusions)
        pairs = pairs_of_list(self._parts(state), self.num_classes) if self.is_sparse else pairs_of_table(state)
        ranks, histogram, nan_rows = (getattr(self, name) for name in (self._ranks, self._histogram, self._nan_rows))
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
            setattr(self, self._confusions, [compact(self._parts(getattr(self, self._confusions)))])
        super()._sync_dist(dist_sync_fn, process_group)
