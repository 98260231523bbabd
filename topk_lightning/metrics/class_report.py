"""The class report: how a classifier does on each class, which classes it confuses, and how far down the true one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from topk_lightning._checks.class_report import check_accuracy, no_images, too_wide, unknown_cut
from topk_lightning._checks.options import check_integer, check_k
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics._class_counter import ClassCounter
from topk_lightning.metrics._confusions import DENSE_CLASSES
from topk_lightning.metrics._grades import GradeBounds, grade, grade_classes
from topk_lightning.metrics._intervals import check_level
from topk_lightning.metrics._judge import Bounds, find, groups_of, images_to_judge
from topk_lightning.metrics._report_counts import ReportCounts
from topk_lightning.metrics.findings import Finding
from topk_lightning.metrics.report_values import ConfusedPair, NearlyRight, TopKCurve

if TYPE_CHECKING:
    from topk_lightning.data.leakage import Leak, Leaks

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
        k: the k of ``recall_top{k}`` and ``top{k}``, each 1 ≤ k ≤ C.
        class_names: a list, {index: name} or {name: index}; by default "class 0", "class 1", ….
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
        k: int | Sequence[int] = (1, 5),
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        *,
        ignore_index: int | None = None,
        class_dim: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, k, class_names, ignore_index=ignore_index, class_dim=class_dim, **kwargs)

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

    def grade(
        self,
        *,
        reliable_accuracy: float = 0.90,
        reliable_class: float = 0.85,
        struggling_accuracy: float = 0.50,
        struggling_class: float = 0.60,
        min_images: int = 1,
    ) -> str:
        """Return "reliable", "fair" or "struggling".

        Args:
            reliable_accuracy: reliable is an accuracy above this,
            reliable_class: and every precision and every recall above this.
            struggling_accuracy: struggling is an accuracy of at most this,
            struggling_class: or any precision or recall below this.
            min_images: classes with fewer images have no say; a class without images never has.

        Raises:
            ValueError: if nothing was seen, or a threshold is no fraction.
        """
        bounds = GradeBounds(reliable_accuracy, reliable_class, struggling_accuracy, struggling_class, min_images)
        return grade(self._seen(), bounds)

    def class_grades(
        self, *, reliable_class: float = 0.85, struggling_class: float = 0.60, min_images: int | None = None
    ) -> list[str]:
        """Return "reliable", "fair", "struggling", "too few images" or "no images" for each class.

        Args:
            reliable_class: precision and recall are both above this.
            struggling_class: precision or recall is below this.
            min_images: from how many images on a class is graded; by default 6, from which on the 95 % interval of a
                faultless class clears 0.60 (for another `struggling_class`, the number that clears it).
        """
        if min_images is None:
            min_images = images_to_judge(struggling_class, name="struggling_class")
        return grade_classes(self._gathered(), GradeBounds(1.0, reliable_class, 0.0, struggling_class, min_images))

    def findings(
        self,
        *,
        train_accuracy: float | Tensor | None = None,
        val_accuracy: float | Tensor | None = None,
        leaks: Leaks | Sequence[Leak] | None = None,
        groups: Hierarchy
        | Sequence[int]
        | Sequence[str]
        | Mapping[str, str]
        | Mapping[int, int]
        | str
        | Path
        | None = None,
        level: float = 0.95,
        min_images: int | None = None,
        low_recall: float = 0.60,
        high_accuracy: float = 0.80,
        low_accuracy: float = 0.50,
        overfitting_gap: float = 0.10,
        neighbour_share: float = 1 / 3,
    ) -> list[Finding]:
        """Return what is worth a sentence, the most serious first.

        A class with at least `min_images` images is judged by itself, the others together with those of their group.
        A recall is low if its whole interval is below `low_recall` and below the accuracy; the level of the interval is
        shared among all that are judged (Bonferroni), so that many classes make no finding by chance.

        Args:
            train_accuracy: top-1 accuracy on the training images, for overfitting.
            val_accuracy: top-1 accuracy on validation images to hold against it; by default that of this report.
            leaks: what :func:`topk_lightning.data.find_leaks` returned.
            groups: the group of each class: names or indices in the order of the classes, {class: group}, or anything
                :meth:`topk_lightning.Hierarchy.of` takes.
            level: the probability in (0, 1) of the intervals.
            min_images: by default 6, from which on the 95 % interval of a faultless class clears 0.60.
            low_recall: a recall below this is low.
            high_accuracy: from this accuracy on, a low recall is an accuracy paradox.
            low_accuracy: up to this accuracy, misses that are no near misses mean that the classes are not learned.
            overfitting_gap: the training accuracy is further than this above the other.
            neighbour_share: where the share of misses with the true class at rank 2 … k lies above this part of the way
                from chance to 1, the classifier confuses neighbours.

        Raises:
            TypeError: if an argument is of the wrong type.
            ValueError: if nothing was seen, or an argument is out of range.

        Examples:
            >>> import torch
            >>> report = ClassReport(2, k=1, class_names=["cat", "dog"])
            >>> always_dog = torch.tensor([[0.0, 1.0]]).expand(100, 2)
            >>> report.update(always_dog, torch.tensor([0] * 8 + [1] * 92))
            >>> for finding in report.findings():
            ...     print(f"{finding.severity}: {finding.sentence}")
            serious: The accuracy is 92 %, but it hides what is recognised far less often: "cat" 0 % (0 of 8 images).
            serious: Never predicted, not even once: "cat" (8 images).
        """
        min_images = images_to_judge(low_recall, level) if min_images is None else min_images
        bounds = Bounds(level, min_images, low_recall, high_accuracy, low_accuracy, overfitting_gap, neighbour_share)
        hierarchy = None if groups is None else groups_of(groups, self.class_names)
        train = check_accuracy("train_accuracy", train_accuracy)
        val = check_accuracy("val_accuracy", val_accuracy)
        # At k = C every miss is a near miss, which says nothing.
        k = max((k for k in self.k if k < self.num_classes), default=1)
        return find(self._seen(), k, self.class_names, bounds, hierarchy, train, val, leaks or ())

    def _seen(self) -> ReportCounts:
        counts = self._gathered()
        if not counts.histogram.sum():
            raise no_images()
        return counts
