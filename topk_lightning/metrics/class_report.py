"""The class report: how a classifier does on each class, which classes it confuses, and how far down the true one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from topk_lightning._checks.class_report import check_names, count_of_scores, needs_labels, too_wide, unknown_cut
from topk_lightning._checks.options import check_integer, check_k, check_ks
from topk_lightning._checks.scores import check_labels, check_scores, check_target
from topk_lightning.metrics._confusions import DENSE_CLASSES, add_at, append, compact, pairs_of_list, pairs_of_table
from topk_lightning.metrics._exact import ExactMetric
from topk_lightning.metrics._intervals import check_level
from topk_lightning.metrics._report_counts import ReportCounts
from topk_lightning.metrics.report_values import ConfusedPair, NearlyRight, TopKCurve
from topk_lightning.ranking import count_ahead, topk_indices

__all__ = ["ClassReport"]


class ClassReport(ExactMetric):
    r"""Count, over batches and processes, what a person asks of a classifier class by class.

    For each class c: precision :math:`n_{cc} / \sum_a n_{ac}`, recall :math:`n_{cc} / \sum_p n_{cp}`, their harmonic mean
    F1, and the recall within the k best, where :math:`n_{ap}` counts the images of class a that were predicted as p. The
    predicted class is the first of :func:`topk_lightning.topk_indices`, the rank is :func:`topk_lightning.target_rank`.

    A row that holds a NaN has no predicted class: it stands in the support and in ``nan_rows``, in no confusion, and its
    rank follows the order rule (a NaN of the target is a miss at every k). Up to 2048 classes the confusions are a table;
    above that only the pairs that occur are kept, as exactly.

    What is undefined is NaN: the recall of a class without images, the precision of a class never predicted, everything
    where nothing was seen. The macro means run over the classes with images, in which an undefined precision counts 0;
    the weighted means weigh them by their images. That is scikit-learn's ``zero_division=0`` with the classes that occur
    in the target as ``labels``.

    Under DDP every method that returns counts or what follows from them gathers from all processes, so all must call it.

    Shape:
        ``update(preds, target)``: preds (N, C) or (N, C, d1, …), target (N,) or (N, d1, …) of any integer dtype.

    Args:
        num_classes: C, at least 2.
        k: the k of ``recall_top{k}`` and ``top{k}``, each 1 ≤ k ≤ C.
        class_names: a list, {index: name} or {name: index}; by default "class 0", "class 1", ….
        ignore_index: rows with this label are left out; they may hold anything.
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument or a dtype is wrong, or the target is a distribution over classes.
        ValueError: if an argument, a shape or a label is wrong.

    Examples:
        >>> report = ClassReport(3, k=(1, 2), class_names=["cat", "dog", "owl"])
        >>> preds = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]])
        >>> report.update(preds, torch.tensor([0, 1, 1, 2]))
        >>> values = report.compute()
        >>> values["precision"], values["recall"], values["recall_top2"]
        (tensor([0.5000, 1.0000, 1.0000]), tensor([1.0000, 0.5000, 1.0000]), tensor([1., 1., 1.]))
        >>> report.most_confused(1)[0].first, report.most_confused(1)[0].second
        ('dog', 'cat')
    """

    def __init__(
        self,
        num_classes: int,
        k: int | Sequence[int] = (1, 5),
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        *,
        ignore_index: int | None = None,
        class_dim: int = 1,
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

    def compute(self) -> dict[str, Tensor]:
        """Return the values of all classes, as a dict.

        Returns:
            For each class (C,): precision, recall, f1, recall_top{k} in float32, NaN where undefined; support and
            predicted in int64. Scalars: accuracy, top{k}, macro_precision, macro_recall, macro_f1, macro_recall_top{k},
            weighted_precision, weighted_recall, weighted_f1, and nan_rows in int64.
        """
        return self._counts().table(self.k)

    def confusions(self) -> Tensor:
        """Return actual class, predicted class and count of every pair that occurs, in order: (M, 3) int64."""
        return self._gathered().pairs

    def confusion_matrix(self) -> Tensor:
        """Return the table (C, C) int64 of counts, actual classes in rows, predicted ones in columns.

        Raises:
            ValueError: above 2048 classes, where the table would be large and mostly empty.
        """
        if self.is_sparse:
            raise too_wide(self.num_classes, DENSE_CLASSES)
        with self.synced():
            table: Tensor = getattr(self, self._confusions).clone()
        return table

    def rank_histogram(self) -> Tensor:
        """Return how many rows have their target at rank 0, 1, …, C − 1, and last those whose target is NaN: (C + 1,)."""
        return self._gathered().histogram.clone()

    def accuracy_curve(self, max_k: int | None = None, level: float = 0.95) -> TopKCurve:
        """Return the accuracy at k = 1, …, max_k with Wilson's interval at each k.

        Args:
            max_k: the last k, by default C.
            level: the probability in (0, 1) of each interval on its own, not of all at once.
        """
        max_k = self.num_classes if max_k is None else check_k(max_k, self.num_classes, "max_k")
        check_level(level)
        return self._gathered().curve(max_k, level)

    def most_confused(self, n: int = 10) -> list[ConfusedPair]:
        """Return the n pairs of classes with most mistakes between them, both directions together, most first."""
        check_integer("n", n)
        return self._gathered().most_confused(n, self.class_names)

    def nearly_right(self, k: int | None = None) -> list[NearlyRight]:
        """Return the classes that have images whose true class stands at rank 2 … k, most such images first.

        Args:
            k: one of the k of this report, by default the largest.
        """
        k = max(self.k) if k is None else k
        if k not in self._cuts:
            raise unknown_cut(k, self._cuts)
        return self._gathered().nearly_right(k, self.class_names)

    def _counts(self) -> ReportCounts:
        state = getattr(self, self._confusions)
        pairs = pairs_of_list(self._parts(state), self.num_classes) if self.is_sparse else pairs_of_table(state)
        ranks, histogram, nan_rows = (getattr(self, name) for name in (self._ranks, self._histogram, self._nan_rows))
        return ReportCounts(self._cuts, ranks, histogram, pairs, nan_rows)

    def _parts(self, state: Tensor | list[Tensor]) -> list[Tensor]:
        """Return the list of pairs, which is one tensor once it is gathered and not empty where nothing was seen."""
        if isinstance(state, Tensor):
            return [state]
        return state or [torch.empty(0, 2, dtype=torch.int64, device=self.device)]

    def _gathered(self) -> ReportCounts:
        """Return the counts of all processes."""
        with self.synced():
            return self._counts()

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any | None = None
    ) -> None:
        # One compacted tensor a process, also where it saw nothing: torchmetrics would put an empty float there.
        if self.is_sparse:
            setattr(self, self._confusions, [compact(self._parts(getattr(self, self._confusions)))])
        super()._sync_dist(dist_sync_fn, process_group)
