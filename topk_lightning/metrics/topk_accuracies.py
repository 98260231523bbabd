"""Several top-k accuracies from one reading of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchmetrics import MetricCollection

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_ks
from topk_lightning.metrics.topk_accuracy import TopKAccuracy, shared_counts

__all__ = ["TopKAccuracies", "topk_accuracies"]


class TopKAccuracies(MetricCollection):
    """Hold top-k accuracies that read the scores once an update and once a forward.

    Made by :func:`topk_accuracies`. Each member counts for itself, so that each can be reset, cloned, merged and saved
    alone; what they share is the reading. Metrics added later are updated as in any
    :class:`torchmetrics.MetricCollection`. Put into a larger collection, which takes the members out, each reads the
    scores itself.
    """

    def __init__(self, metrics: dict[str, TopKAccuracy], prefix: str | None = None, postfix: str | None = None) -> None:
        super().__init__(dict(metrics), prefix=prefix, postfix=postfix, compute_groups=False)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Count one batch in every metric."""
        with shared_counts():
            super().update(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Count one batch in every metric and return the batch's own values."""
        with shared_counts():
            return super().forward(*args, **kwargs)

    def merge_state(self, incoming: MetricCollection) -> None:
        """Add what another collection of the same metrics has counted."""
        mine, theirs = list(self.keys(keep_base=True)), list(incoming.keys(keep_base=True))
        if mine != theirs:
            raise InvalidValueError(must("incoming", f"hold the metrics {mine}", theirs))
        for name in mine:
            getattr(self, str(name)).merge_state(getattr(incoming, str(name)))


def topk_accuracies(
    k: int | Sequence[int] = (1, 3, 5),
    prefix: str | None = None,
    postfix: str | None = None,
    *,
    num_classes: int | None = None,
    average: str = "micro",
    ignore_index: int | None = None,
    ties: str = "index",
    class_dim: int = 1,
) -> TopKAccuracies:
    """Return a collection of top-k accuracies, one for each k, that reads the scores once.

    ``self.log_dict(collection)`` logs each as an object.

    Args:
        k: one or several k.
        prefix: text before each key, such as "val/".
        postfix: text after each key.
        num_classes: as in :class:`TopKAccuracy`.
        average: as in :class:`TopKAccuracy`.
        ignore_index: as in :class:`TopKAccuracy`.
        ties: as in :class:`TopKAccuracy`.
        class_dim: as in :class:`TopKAccuracy`.

    Returns:
        A :class:`torchmetrics.MetricCollection` with keys top1, top3, top5 between prefix and postfix.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if an argument is out of range.

    Examples:
        >>> import torch
        >>> metrics = topk_accuracies(k=(1, 2), prefix="val/")
        >>> metrics.update(torch.eye(4), torch.tensor([0, 1, 2, 0]))
        >>> metrics.compute()
        {'val/top1': tensor(0.7500), 'val/top2': tensor(1.)}
    """
    ks = check_ks(k)
    options: dict[str, Any] = {
        "num_classes": num_classes,
        "average": average,
        "ignore_index": ignore_index,
        "ties": ties,
        "class_dim": class_dim,
    }
    members = {f"top{one}": TopKAccuracy(one, max_k=max(ks), **options) for one in ks}
    return TopKAccuracies(members, prefix, postfix)
