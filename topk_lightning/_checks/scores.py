"""Checks of scores (`preds` or `logits`) and `target`: types, shapes, labels, distributions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must

__all__ = [
    "are_probabilities",
    "check_class_dim",
    "check_distribution",
    "check_labels",
    "check_scores",
    "check_target",
    "check_weights",
    "squeeze_remedy",
]


_SCORES = {torch.float16, torch.bfloat16, torch.float32, torch.float64} | {
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
}


def check_scores(scores: object, class_dim: int = 1, name: str = "preds") -> int:
    """Return the class dimension of real `scores` of shape (N, C) or (N, C, d1, …), counted from the front."""
    if not isinstance(scores, Tensor):
        raise InvalidTypeError(
            must(name, "be a torch.Tensor", type(scores).__name__, "Convert it with torch.as_tensor.")
        )
    if scores.dtype not in _SCORES:
        raise InvalidTypeError(
            must(name, "hold real scores (float16 to float64, int8 to int64, or uint8)", scores.dtype)
        )
    if scores.ndim < 2:
        remedy = (
            f"Did you mean {name}.unsqueeze(0)?"
            if scores.is_floating_point()
            else "Pass the scores of all classes, not the predicted labels."
        )
        raise InvalidValueError(must(name, "have shape (N, C) or (N, C, d1, …)", tuple(scores.shape), remedy))
    return check_class_dim(class_dim, scores.ndim)


def check_class_dim(class_dim: int, ndim: int) -> int:
    """Return `class_dim` counted from the front; dimension 0 is the batch."""
    if not -ndim <= class_dim < ndim or class_dim % ndim == 0:
        raise InvalidValueError(
            must(
                "class_dim",
                f"be a dimension of {ndim} that is not the batch (dimension 0)",
                class_dim,
                "The scores of one sample stand along class_dim: 1 for (N, C), -1 for (N, T, C).",
            )
        )
    return class_dim % ndim


def check_target(target: object, scores: Tensor, class_dim: int, name: str = "preds") -> bool:
    """Return whether `target` is a distribution over classes (True) or class indices (False).

    `class_dim` counts from the front. Labels and distributions themselves are checked by `check_labels` and
    `check_distribution`, which read values.
    """
    if not isinstance(target, Tensor):
        raise InvalidTypeError(
            must("target", "be a torch.Tensor", type(target).__name__, "Convert it with torch.as_tensor.")
        )
    shape = scores.shape[:class_dim] + scores.shape[class_dim + 1 :]
    if target.is_floating_point() and target.shape == scores.shape:
        return True
    if target.shape != shape:
        requirement = f"have shape {tuple(shape)} to match {name} of shape {tuple(scores.shape)}"
        raise InvalidValueError(
            must("target", requirement, tuple(target.shape), _shape_remedy(target, scores, class_dim, name))
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise InvalidTypeError(must("target", "be of an integer dtype", target.dtype, "Did you mean target.long()?"))
    return False


def _shape_remedy(target: Tensor, scores: Tensor, class_dim: int, name: str) -> str:
    if target.shape == scores.shape:
        return (
            "For several right classes a row use MultilabelTopKAccuracy; for one-hot rows "
            f"target.argmax({class_dim}); for a distribution over classes a float target."
        )
    shape = scores.shape[:class_dim] + scores.shape[class_dim + 1 :]
    squeeze = squeeze_remedy("target", target, shape) or squeeze_remedy(name, scores, target.shape, also=class_dim)
    if squeeze:
        return squeeze
    if squeeze_remedy("target", target, scores.shape):
        return "For several right classes a row use MultilabelTopKAccuracy and " + squeeze_remedy(
            "target", target, scores.shape
        ).removeprefix("Did you mean ").replace("?", ".")
    if target.shape == scores.shape[:-1]:
        return "Did you mean class_dim=-1?"
    if scores.ndim == 2 and target.ndim == 1:
        if scores.shape[1] == target.shape[0]:
            return f"Did you mean {name}.T?"
        return f"Pass one row of scores for each sample, before any topk, as {name}."
    if scores.ndim == 2 and target.ndim == 2 and target.shape[0] == scores.shape[0] and target.is_floating_point():
        return f"A distribution over classes must have the shape of {name}."
    if target.ndim == 0 and shape_is_one_row(scores):
        return "Did you mean target.unsqueeze(0)?"
    return ""


def squeeze_remedy(name: str, tensor: Tensor, wanted: Sequence[int], also: int | None = None) -> str:
    """Return the question after a dimension of size 1 without which a tensor would have the shape `wanted`, or "".

    The dimension `also` is not looked at: it stands in `tensor` and not in `wanted`.
    """
    for dim, size in enumerate(tensor.shape):
        rest = [length for other, length in enumerate(tensor.shape) if other not in (dim, also)]
        if size == 1 and dim != also and rest == list(wanted):
            return f"Did you mean {name}.squeeze({dim})?"
    return ""


def shape_is_one_row(scores: Tensor) -> bool:
    """Return whether `scores` hold a single sample."""
    return scores.ndim == 2 and scores.shape[0] == 1


def check_labels(target: Tensor, num_classes: int, name: str = "target") -> None:
    """Check that class indices lie in [0, C).

    Reads the target once (about 5 µs on a CPU for 256 labels); on an accelerator it waits for the target to be there.
    It is left out inside a compiled graph, which it would break.
    """
    if torch.compiler.is_compiling() or target.numel() == 0:
        return
    low, high = (int(value) for value in target.long().aminmax())
    if low >= 0 and high < num_classes:
        return
    wrong = low if low < 0 else high
    remedy = f"Did you mean ignore_index={low}?" if low < 0 else "Class indices start at 0."
    raise InvalidValueError(must(name, f"hold class indices in [0, {num_classes})", wrong, remedy))


def check_distribution(
    target: Tensor,
    class_dim: int,
    kept: Tensor | None = None,
    remedy: str = "For several right classes a row use MultilabelTopKAccuracy.",
) -> None:
    """Check that the rows of a float `target` along `class_dim` are ≥ 0 and sum to 1.

    `kept` masks the rows that count. Like `check_labels`, it is left out inside a compiled graph.
    """
    if torch.compiler.is_compiling() or target.numel() == 0:
        return
    sums = target.sum(class_dim, dtype=torch.float32)
    wrong = ~((sums - 1).abs() <= _sum_tolerance(target)) | ~(target >= 0).all(class_dim)
    if kept is not None:
        wrong &= kept
    if wrong.any():
        raise InvalidValueError(
            must(
                "target",
                "hold a distribution over classes in each row (≥ 0, sum 1) when it is a float tensor of the shape of "
                "the scores",
                f"a row with minimum {target.amin(class_dim)[wrong][0]:g} and sum {sums[wrong][0]:g}",
                remedy,
            )
        )


def _sum_tolerance(target: Tensor) -> float:
    # The roundings of C numbers of this dtype, seen as random: 8 of them always pass.
    return max(1e-4, 8 * torch.finfo(target.dtype).eps)


def check_weights(sample_weight: object, target_shape: torch.Size) -> None:
    """Check that `sample_weight` has one finite weight ≥ 0 for each row of the target."""
    if not isinstance(sample_weight, Tensor):
        raise InvalidTypeError(must("sample_weight", "be a torch.Tensor", type(sample_weight).__name__))
    if sample_weight.shape != target_shape:
        raise InvalidValueError(
            must("sample_weight", f"have shape {tuple(target_shape)}, one weight a row", tuple(sample_weight.shape))
        )
    if torch.compiler.is_compiling() or sample_weight.numel() == 0:
        return
    low, high = (float(value) for value in sample_weight.aminmax())
    if not (low >= 0 and high < float("inf")):
        wrong = low if not low >= 0 else high
        raise InvalidValueError(must("sample_weight", "be finite and at least 0", wrong))


def are_probabilities(outputs: Tensor) -> bool:
    """Return whether rows (N, C) can hardly be anything but what a softmax returned; one-hot rows can.

    Examples:
        >>> (
        ...     are_probabilities(torch.tensor([[0.5, 0.3, 0.2]])),
        ...     are_probabilities(torch.tensor([[0.0, 1.0, 0.0]])),
        ... )
        (True, False)
    """
    rows = outputs.detach().double()
    sums = (rows.sum(1) - 1).abs() < 1e-3
    return len(rows) > 0 and bool(((rows > 0).all(1) & sums & (rows.amax(1) < 1)).all())
