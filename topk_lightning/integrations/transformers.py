"""The top-k accuracies for the Trainer of Hugging Face's transformers, which counts batch by batch and keeps no logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning.metrics import TopKAccuracies

__all__ = ["TopKComputeMetrics"]


class TopKComputeMetrics:
    """Return top-k accuracies from what the Trainer of transformers predicts: ``Trainer(compute_metrics=…)``.

    With ``TrainingArguments(batch_eval_metrics=True)`` the Trainer hands over each batch, which is counted and forgotten:
    some whole numbers are kept instead of all logits, which for 50,000 images and 1,000 classes are 200 MB. Without it the
    Trainer keeps the logits of the whole set and hands them over at once; the result is the same. Under several
    processes the Trainer gathers the rows, so that each process counts all of them.

    Args:
        k: one or several k; None: those of 1, 3, 5 up to the number of classes.
        ignore_index: labels that do not count; -100 is what the Trainer fills up with.
        class_dim: the class dimension of the logits, 1; -1 for (N, T, C) sequences.

    Raises:
        TypeError: predictions that are no logits (of a model with several outputs the first is taken).
        ValueError: k > C, or labels that do not match.

    Examples:
        >>> from types import SimpleNamespace
        >>> compute_metrics = TopKComputeMetrics(k=(1, 2))
        >>> batch = SimpleNamespace(predictions=torch.eye(4), label_ids=torch.tensor([0, 1, 2, 0]))
        >>> compute_metrics(batch, compute_result=False)
        {}
        >>> compute_metrics(batch, compute_result=True)
        {'top1': 0.75, 'top2': 1.0}
    """

    def __init__(self, k: int | Sequence[int] | None = None, *, ignore_index: int = -100, class_dim: int = 1) -> None:
        # The rows come from all processes: a sum over these would count them several times.
        self._options: dict[str, Any] = {
            "ignore_index": ignore_index,
            "class_dim": class_dim,
            "sync_on_compute": False,
        }
        self._k = k
        self._metrics = TopKAccuracies(k, **self._options)

    def __call__(self, prediction: Any, compute_result: bool = True) -> dict[str, float]:
        """Count what was predicted, and return the accuracies and begin anew where `compute_result` says so.

        Args:
            prediction: an EvalPrediction, with ``predictions`` and ``label_ids``.
            compute_result: whether this is the last batch, as the Trainer says with ``batch_eval_metrics=True``.
        """
        logits, labels = _tensor(prediction.predictions, "predictions"), _tensor(prediction.label_ids, "label_ids")
        self._metrics.update(logits, labels)
        if not compute_result:
            return {}
        accuracies = {name: float(value) for name, value in self._metrics.compute().items()}
        self._metrics = TopKAccuracies(self._k, **self._options)
        return accuracies


def _tensor(values: Any, name: str) -> Tensor:
    if isinstance(values, list | tuple) and values:
        values = values[0]
    try:
        return values.detach().cpu() if isinstance(values, Tensor) else torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidTypeError(must(name, "be a tensor or an array", type(values).__name__)) from error
