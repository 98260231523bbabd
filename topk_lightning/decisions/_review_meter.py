"""How sure a classifier is of each image, kept over batches and processes: a plan is fitted and measured from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer, check_k
from topk_lightning.decisions._confidences import Confidences, as_scores, confidences, labels_alike
from topk_lightning.scores import Scores

__all__ = ["KeptRows", "ReviewMeter", "seen_of"]


class KeptRows(Metric):
    """Keep some numbers of each image; the images of several processes are put one after another.

    Args:
        dtypes: of each number, by the name of its state, which says how it was made: two metrics of other options share
            none in a MetricCollection.
        kwargs: passed to :class:`torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, dtypes: dict[str, torch.dtype], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dtypes = dtypes
        for name in dtypes:
            self.add_state(name, [], dist_reduce_fx="cat")

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        # torchmetrics makes scalars of tensors with one element, which the rows of one image are.
        computed = super()._wrap_compute(wraps(compute)(lambda: SimpleNamespace(value=compute())))
        return wraps(compute)(lambda: computed().value)

    def keep(self, **rows: Tensor) -> None:
        """Append rows."""
        for name, values in rows.items():
            getattr(self, name).append(values.to(self.device, self._dtypes[name]))

    def kept(self, name: str) -> Tensor:
        """Return all rows of a state on the CPU."""
        values: Any = getattr(self, name)
        parts = [values] if isinstance(values, Tensor) else values
        return torch.cat([part.cpu() for part in parts]) if parts else torch.empty(0, dtype=self._dtypes[name])

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A process without images takes part with none of the right kind.
        for name, dtype in self._dtypes.items():
            if not len(getattr(self, name)):
                setattr(self, name, [torch.empty(0, dtype=dtype, device=self.device)])
        super()._sync_dist(*args, **kwargs)


class ReviewMeter(KeptRows):
    """Keep how sure a classifier is of each image: 24 bytes an image, whatever the number of classes.

    :func:`topk_lightning.decisions.review_plan`, :func:`topk_lightning.decisions.risk_coverage` and the outcome of a plan
    take it instead of scores. Under DDP they speak of the images of all processes.

    Shape:
        ``update(logits, target)``: (N, C) and (N,).

    Args:
        k: names on a list.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Examples:
        >>> meter = ReviewMeter(k=2)
        >>> meter.update(torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 1]))
        >>> meter.compute().rank
        tensor([0, 1])
    """

    classes: Tensor

    def __init__(self, k: int = 5, **kwargs: Any) -> None:
        self._best = f"best_{check_integer('k', k)}"
        super().__init__({"first": torch.float64, self._best: torch.float64, "rank": torch.int64}, **kwargs)
        self.add_state("classes", torch.tensor(0), dist_reduce_fx="max")
        self.k, self.num_classes = k, 0

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Keep the images of a batch; of none is no harm."""
        if not len(target):
            return
        given = Scores(logits.detach().cpu(), target.cpu(), kind="logits")
        seen = confidences(given, check_k(self.k, given.num_classes))
        self.num_classes = given.num_classes
        self.classes = torch.tensor(given.num_classes, device=self.device)
        self.keep(**{"first": seen.first, self._best: seen.best, "rank": seen.rank})

    def compute(self) -> Confidences:
        """Return how sure it is of all images."""
        self.num_classes = int(self.classes)
        return Confidences(self.kept("first"), self.kept(self._best), self.kept("rank"))


def seen_of(scores: Any, target: Any, kind: str, k: int | None, question: str) -> tuple[Confidences, int, int]:
    """Return how sure a classifier is of labelled images, k and C.

    Args:
        scores: :class:`ReviewMeter`, :class:`topk_lightning.Scores` or an array.
        target: beside an array.
        kind: what an array holds.
        k: names on a list; None: that of a meter, or 5 at most.
        question: what for.
    """
    if isinstance(scores, ReviewMeter):
        if k not in (None, scores.k):
            raise InvalidValueError(must("k", f"be that of the meter ({scores.k})", k))
        return scores.compute(), scores.k, scores.num_classes
    given = as_scores(scores, target, kind)
    labels_alike(given, question)
    k = min(5, given.num_classes) if k is None else check_k(check_integer("k", k), given.num_classes)
    return confidences(given, k, question), k, given.num_classes
