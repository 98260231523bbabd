"""The class report: how a classifier does on each class, which classes it confuses, and how far down the true one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_integer, check_k, check_level
from topk_lightning.metrics._class_counter import ClassCounter
from topk_lightning.metrics._confusions import DENSE_CLASSES
from topk_lightning.metrics.class_counts import ClassCounts
from topk_lightning.metrics.report_values import ConfusedPair, NearlyRight, TopKCurve

__all__ = ["ClassReport"]


class ClassReport(ClassCounter):
    r"""Count, over batches and processes, what a person asks of a classifier class by class.

    With :math:`n_{ap}` the images of class a that were predicted as p, and :math:`N_a` the images of class a: precision
    :math:`n_{cc} / \sum_a n_{ac}`, recall :math:`n_{cc} / N_c`, their harmonic mean F1, and the recall within the k best.
    The predicted class is the first of :func:`topk_lightning.topk_indices`, the rank :func:`topk_lightning.target_rank`.

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
        k: the k of ``recall_top{k}`` and ``top{k}``, each 1 ≤ k ≤ C; None: 1, and the larger of 3 and 5 below C.
        class_names: a list, {index: name} or {name: index}; by default "class 0", "class 1", …. Where two classes have
            one name, it is shown with the class index behind it.
        ignore_index: rows with this label are left out; they may hold anything.
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument or a dtype is wrong, or the target is a distribution over classes.
        ValueError: if an argument, a shape or a label is wrong.

    Examples:
        >>> import torch
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
        k: int | Sequence[int] | None = None,
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        *,
        ignore_index: int | None = None,
        class_dim: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, k, class_names, ignore_index=ignore_index, class_dim=class_dim, **kwargs)

    @classmethod
    def from_confusion(
        cls, matrix: Tensor | Sequence[Sequence[int]], class_names: Sequence[str] | Mapping[Any, Any] | None = None
    ) -> ClassReport:
        """Return the report of a confusion matrix, with actual classes in rows and predicted ones in columns.

        It answers what the predicted classes tell: everything at k = 1, but no ranks.

        Args:
            matrix: counts (C, C): a tensor, an array or lists.
            class_names: as above.

        Raises:
            TypeError: if the counts are no whole numbers.
            ValueError: if the matrix is not square, or a count is negative.

        Examples:
            >>> report = ClassReport.from_confusion(
            ...     [[50, 2, 3], [4, 45, 1], [2, 3, 40]], ["cat", "dog", "owl"]
            ... )
            >>> report.compute()["accuracy"], report.compute()["precision"]
            (tensor(0.9000), tensor([0.8929, 0.9000, 0.9091]))
        """
        table = torch.as_tensor(matrix)
        if table.is_floating_point() or table.is_complex() or table.dtype == torch.bool:
            raise InvalidTypeError(must("matrix", "hold counts of an integer dtype", table.dtype))
        if table.ndim != 2 or table.shape[0] != table.shape[1]:
            raise InvalidValueError(must("matrix", "have shape (C, C)", tuple(table.shape)))
        if table.numel() and int(table.min()) < 0:
            raise InvalidValueError(must("matrix", "hold counts of at least 0", int(table.min())))
        report = cls(len(table), 1, class_names)
        pairs = table.nonzero()
        report._add_pairs(pairs, table[pairs[:, 0], pairs[:, 1]].long())
        return report

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
        return self.counts().pairs

    def confusion_matrix(self) -> Tensor:
        """Return the table (C, C) int64 of counts, actual classes in rows, predicted ones in columns.

        Raises:
            ValueError: above 2048 classes, where the table would be large and mostly empty.
        """
        if self.is_sparse:
            wanted, remedy = (
                f"be at most {DENSE_CLASSES} for a table of all pairs",
                "Use confusions(), which lists the pairs that occur.",
            )
            raise InvalidValueError(must("num_classes", wanted, self.num_classes, remedy))
        with self.synced():
            table: Tensor = self.state("confusions").clone()
        return table

    def rank_histogram(self) -> Tensor:
        """Return how many rows have their target at rank 0, 1, …, C − 1, and last those whose target is NaN: (C + 1,)."""
        return self._ranked().histogram.clone()

    def accuracy_curve(self, max_k: int | None = None, level: float = 0.95) -> TopKCurve:
        """Return the accuracy at k = 1, …, max_k with Wilson's interval at each k.

        Args:
            max_k: the last k, by default C.
            level: the probability in (0, 1) of each interval on its own, not of all at once.
        """
        max_k = self.num_classes if max_k is None else check_k(max_k, self.num_classes, "max_k")
        check_level(level)
        return (self.counts() if max_k == 1 else self._ranked()).curve(max_k, level)

    def most_confused(self, n: int = 10) -> list[ConfusedPair]:
        """Return the n pairs of classes with most mistakes between them, both directions together, most first."""
        check_integer("n", n)
        return self.counts().most_confused(n, self.distinct_names)

    def nearly_right(self, k: int | None = None) -> list[NearlyRight]:
        """Return the classes that have images whose true class stands at rank 2 … k, most such images first.

        Args:
            k: one of the k of this report, by default the largest.
        """
        k = max(self.k) if k is None else k
        if k not in self._cuts:
            counted = ", ".join(map(str, self._cuts))
            raise InvalidValueError(must("k", f"be one of {counted}, which the report was made for", k))
        return self.counts().nearly_right(k, self.distinct_names)

    def plot(self, *_: Any, **__: Any) -> NoReturn:
        """Say what to draw instead: a report is more than one picture."""
        raise NotImplementedError(
            "ClassReport has no single picture: draw accuracy_curve(), confusion_matrix() or what compute() returns, or "
            "let topk_lightning.write_report draw everything."
        )

    def _ranked(self) -> ClassCounts:
        counts = self.counts()
        if counts.unranked:
            remedy = "Update the report with the scores of all classes."
            actual = f"{int(counts.unranked)} misses of which only the predicted class is known"
            raise InvalidValueError(must("the report", "know the rank of each target", actual, remedy))
        return counts
