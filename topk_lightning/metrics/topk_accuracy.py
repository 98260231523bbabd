"""Top-k accuracy: the fraction of rows whose target is among the k best classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.metric_as_loss import metric_as_loss, refuse_learner
from topk_lightning._checks.options import check_choice, check_integer, check_k, check_ks, check_level
from topk_lightning._checks.scores import check_scores
from topk_lightning.metrics._accuracies import accuracies, counting_of, interval, plot_curve
from topk_lightning.metrics._counting import Counting, Counts, Rows
from topk_lightning.metrics._exact import Amounts, ExactMetric
from topk_lightning.metrics._from_features import CountsFeatures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TopKAccuracy", "topk_accuracy"]

Result = TypeVar("Result")
AVERAGES = ("micro", "macro", "weighted", "none")


def topk_accuracy(
    preds: Tensor,
    target: Tensor,
    k: int | Sequence[int] | None = None,
    *,
    average: str = "micro",
    ignore_index: int | None = None,
    ties: str = "index",
    class_dim: int = 1,
    sample_weight: Tensor | None = None,
    reduction: str | None = None,
) -> Tensor:
    r"""Return the fraction of rows whose target is among the k best classes.

    .. math:: \frac{1}{N} \sum_n [\mathrm{rank}(y_n) < k]

    Order and ties follow the order rule of :mod:`topk_lightning.ranking`: higher first, equal scores by lower class
    index, a NaN target is a miss. Several k cost one reading of the scores.

    Shape:
        preds (N, C) or (N, C, d1, …), target (N,) or (N, d1, …), or float of the shape of `preds`; to () for one k, (K,)
        for several; with ``average="none"`` to (C,) or (K, C).

    Args:
        preds: real scores (logits or probabilities): only their order matters.
        target: class indices of any integer dtype, or a distribution over classes (rows ≥ 0 that sum to 1), whose hit is
            its expected value, the sum of its mass on the k best classes.
        k: how many classes count as best, 1 ≤ k ≤ C; or several k; None: the smaller of 5 and C.
        average: "micro" (all rows alike), "macro" (mean over the classes that occur), "weighted" (by how often each
            occurs) or "none" (a value a class, NaN for those that do not occur).
        ignore_index: rows with this label are left out.
        ties: "index"; "strict" (the target stands behind all its ties), "optimistic" (before them) or "expected" (mean
            over random orders of the ties: a constant model scores exactly k/C).
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        sample_weight: a weight ≥ 0 for each row.
        reduction: not for a metric; there to say so to code that takes it for a loss.

    Returns:
        Accuracy in [0, 1], float32; NaN where nothing was counted. It has no gradient.

    Raises:
        TypeError: if a dtype is wrong, or the metric is used as a loss.
        ValueError: if k > C, shapes do not match or a label is out of range.

    Examples:
        >>> import torch
        >>> preds = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
        >>> topk_accuracy(preds, torch.tensor([1, 2, 3]), k=(2, 3))
        tensor([0.3333, 0.6667])
    """
    if reduction is not None:
        raise metric_as_loss("topk_accuracy")
    refuse_learner("topk_accuracy", as_metric=False)
    check_choice("average", average, AVERAGES)
    num_classes = preds.shape[check_scores(preds, class_dim)]
    ks = check_ks(min(5, num_classes) if k is None else k)
    counting = counting_of(max(ks), ties, ignore_index, class_dim, num_classes, average != "micro")
    counts = counting.count(preds, target, sample_weight)
    if counting.by_class:
        tables = zip(counts, counting.empty(preds.device), strict=True)
        counts = Counts(*(part.added_to(empty) if isinstance(part, Rows) else part for part, empty in tables))
    values = accuracies(counts, ks, average)
    return values if isinstance(k, Iterable) else values[0]


class TopKAccuracy(CountsFeatures):
    r"""Count exactly, over batches and processes, how often the target is among the k best classes.

    The function is :func:`topk_accuracy`. Whole hits are counted in int64, so that they stay exact beyond 2^24 rows; rows
    that count in part (soft targets, sample weights, ``ties="expected"``) are summed in float64 (float32 on a device
    without it). The result is a scalar, so ``self.log("val/top5", metric)`` accepts the metric as an object.

    Shape:
        ``update(preds, target, sample_weight=None)``: preds (N, C) or (N, C, d1, …), target (N,) or (N, d1, …) of any
        integer dtype, or float of the shape of preds (rows that sum to 1). ``compute()``: (), or (C,) for
        ``average="none"``.

    Args:
        k: how many classes count as best, 1 ≤ k ≤ C; None: the smaller of 5 and C.
        num_classes: C; needed for every average but "micro".
        average: "micro" (all rows alike), "macro" (mean over the classes that occur), "weighted" (by how often each
            occurs) or "none" (a value a class, NaN for those that do not occur).
        ignore_index: rows with this label are left out; they may hold anything.
        ties: "index" (equal scores: lower class index first), "strict", "optimistic" or "expected".
        class_dim: the class dimension, -1 for (N, T, C) sequences.
        max_k: ranks are counted up to here, which :meth:`curve` and :meth:`plot` show; k by default.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument or a dtype is wrong.
        ValueError: if an argument, a shape or a label is wrong.

    Examples:
        >>> import torch
        >>> metric = TopKAccuracy(k=2)
        >>> preds = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
        >>> metric.update(preds, torch.tensor([1, 2, 3]))
        >>> metric.compute()
        tensor(0.3333)
    """

    __jit_unused_properties__: ClassVar[list[str]] = [*ExactMetric.__jit_unused_properties__, "counts"]

    def __init__(
        self,
        k: int | None = None,
        *,
        num_classes: int | None = None,
        average: str = "micro",
        ignore_index: int | None = None,
        ties: str = "index",
        class_dim: int = 1,
        max_k: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.average = check_choice("average", average, AVERAGES)
        if num_classes is None and average != "micro":
            raise InvalidValueError(must("num_classes", f'be given for average="{average}"', None))
        if num_classes is not None:
            check_integer("num_classes", num_classes)
        self.k = min(5, num_classes or 5) if k is None else check_k(k, num_classes)
        self.max_k = self.k if max_k is None else check_integer("max_k", max_k, minimum=self.k)
        self.num_classes = num_classes
        self.counting = Counting(
            self.max_k, ties, ignore_index, class_dim, num_classes, average != "micro", k is not None
        )
        whole, fractional = self.counting.empty()
        self.add_counts({"k": self.k, **self.counting.settings}, whole=whole, fractional=fractional)

    def update(self, preds: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> None:
        """Count one batch; zero rows change nothing."""
        self.add(self.count(preds, target, sample_weight))

    def compute(self) -> Tensor:
        """Return the accuracy in [0, 1] of all that was counted, over all processes; NaN if nothing was."""
        return self.value_of(self.states())

    def count(self, preds: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Amounts:
        """Check a batch and return what it adds to the states."""
        return self.counting.count(preds, target, sample_weight)._asdict()

    def value_of(self, states: Mapping[str, Tensor]) -> Tensor:
        """Return the value of such states."""
        return accuracies(Counts(**states), [self.k], self.average)[0]

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        if not self.counting.by_class:  # else the states are changed in place
            for state in self._names.values():
                setattr(self, state, self._defaults[state])

    def share_with(self, lead: TopKAccuracy) -> None:
        """Hold the very tables of another metric that counts alike, for as long as both count the same."""
        for name, state in self._names.items():
            self._defaults[state] = lead._defaults[lead._names[name]]
            setattr(self, state, lead.state(name))

    @property
    def counts(self) -> Counts:
        """The tables counted so far, of this process."""
        return Counts(**self.states())

    def curve(self) -> Tensor:
        """Return the accuracy at k = 1, …, max_k, over all processes: (max_k,), or (max_k, C) for average="none"."""
        return self._synced(lambda counts: accuracies(counts, range(1, self.max_k + 1), self.average))

    def confidence_interval(self, level: float = 0.95) -> Tensor:
        """Return Wilson's score interval of the accuracy, over all processes.

        All processes must call it. With sample weights the number of rows is the effective one, (Σw)² / Σw²; for soft
        targets and expected ties the interval is conservative.

        Args:
            level: the probability in (0, 1) with which such intervals hold the true accuracy.

        Returns:
            Lower and upper bound, (2,), or (C, 2) for ``average="none"``; NaN where nothing was counted.

        Raises:
            ValueError: for averages "macro" and "weighted", whose rows do not count alike.

        Source:
            Wilson, Probable inference, the law of succession, and statistical inference, 1927.

        Examples:
            >>> import torch
            >>> metric = TopKAccuracy(k=1)
            >>> metric.update(torch.eye(4), torch.tensor([0, 1, 2, 0]))
            >>> metric.confidence_interval()
            tensor([0.3006, 0.9544])
        """
        check_level(level)
        if self.average not in ("micro", "none"):
            remedy = 'Use average="micro", or "none" for one interval a class.'
            raise InvalidValueError(
                must("average", 'be "micro" or "none" for a confidence interval', self.average, remedy)
            )
        return self._synced(lambda counts: interval(counts, self.k, self.average, level))

    def _synced(self, function: Callable[[Counts], Result]) -> Result:
        with self.synced():
            return function(self.counts)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw the accuracy against k, up to max_k, with its 95 % band where rows count alike.

        Args:
            val: values of :meth:`compute` or ``forward``, one or one a step, to draw as every torchmetrics metric does
                instead of the curve.
            ax: matplotlib axes to draw into; by default new ones.

        Returns:
            The figure and the axes.
        """
        if val is not None:
            return self._plot(val, ax)  # type: ignore[return-value]
        counts = self._synced(lambda counts: Counts(*(cast(Tensor, table).cpu() for table in counts)))
        return plot_curve(counts, range(1, self.max_k + 1), self.average, ax)
