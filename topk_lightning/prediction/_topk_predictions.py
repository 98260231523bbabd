"""The k best classes with names and probabilities, from the outputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from topk_lightning._checks.class_names import check_class_names, distinct_names
from topk_lightning._checks.options import check_k
from topk_lightning._topk_prediction import TopKPrediction
from topk_lightning.prediction._errors import (
    check_finite_logits,
    check_input,
    check_outputs,
    check_probabilities,
    not_numbers,
)
from topk_lightning.ranking import topk_indices

__all__ = ["TopKPrediction", "topk_predictions"]


def topk_predictions(
    outputs: Any,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    k: int | None = None,
    *,
    input: str,  # noqa: A002
) -> tuple[TopKPrediction, ...] | list[tuple[TopKPrediction, ...]]:
    """Return the k best classes of each row, best first, with their names and probabilities.

    The order is the order rule on the outputs as they are given: higher first, equal values by the lower class index.
    Logits become probabilities by a softmax in float32 (in float64 for float64). Which of the two the outputs are is
    always said, never guessed: a softmax of probabilities would show .29 for a .6.

    Shape:
        - outputs (C,): one tuple of k predictions.
        - outputs (N, C): a list of N such tuples, also for N = 1.

    Args:
        outputs: a torch tensor, a NumPy array, or anything with DLPack or ``__array__`` (such as a TensorFlow tensor).
        class_names: a list, {index: name} or {name: index}; None: the labels are the indices as text. A name that several
            classes have gets the index behind it.
        k: how many classes, 1 ≤ k ≤ C; None: 5, or all where there are fewer.
        input: "logits" (any real scores of a softmax model) or "probabilities" (rows ≥ 0 that sum to 1).

    Returns:
        Tuples of :class:`TopKPrediction`, best first.

    Raises:
        TypeError: outputs that are not real numbers.
        ValueError: a wrong shape, NaN, k > C, a wrong number of names, or probabilities that are none.

    Examples:
        >>> topk_predictions([0.1, 0.6, 0.3], ["ant", "bee", "cat"], k=2, input="probabilities")
        (TopKPrediction(label='bee', index=1, probability=0.6), TopKPrediction(label='cat',
        index=2, probability=0.3))
    """
    check_input(input)
    scores = as_tensor(outputs)
    check_outputs(scores)
    num_classes = scores.shape[-1]
    k = min(5, num_classes) if k is None else check_k(k, num_classes)
    names = None if class_names is None else distinct_names(check_class_names(class_names, num_classes))
    if input == "probabilities":
        check_probabilities(scores)
        probabilities = scores
    else:
        check_finite_logits(scores)
        probabilities = scores.softmax(-1, dtype=scores.dtype if scores.dtype == torch.float64 else torch.float32)
    rows = scores.reshape(-1, num_classes)
    best = topk_indices(rows, k)
    chosen = probabilities.reshape(-1, num_classes).gather(1, best)
    predictions = [
        tuple(
            TopKPrediction(str(index) if names is None else names[index], index, float(probability))
            for index, probability in zip(row_indices, row_probabilities, strict=True)
        )
        for row_indices, row_probabilities in zip(best.tolist(), chosen.tolist(), strict=True)
    ]
    return predictions[0] if scores.ndim == 1 else predictions


def as_tensor(outputs: Any) -> Tensor:
    """Return `outputs` as a torch tensor on the CPU, without gradient."""
    if isinstance(outputs, Tensor):
        return outputs.detach().cpu()
    if hasattr(outputs, "__dlpack__") and hasattr(outputs, "__dlpack_device__"):
        try:
            return from_dlpack(outputs).detach().cpu()
        except (BufferError, RuntimeError, TypeError, ValueError):
            # Read-only arrays and some versions of the protocol are refused; __array__ copies them.
            pass
    if hasattr(outputs, "__array__"):
        import numpy as np

        array = np.array(outputs)
        try:  # torch reads the byte order of this machine alone
            return torch.as_tensor(array.astype(array.dtype.newbyteorder("=")))
        except (TypeError, ValueError) as error:
            raise not_numbers(f"an array of {array.dtype.name}") from error
    try:
        return torch.as_tensor(outputs, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise not_numbers(type(outputs).__name__) from error
