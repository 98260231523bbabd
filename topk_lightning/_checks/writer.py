"""Checks of TopKPredictionWriter: its file, what predict_step returns, which image a row is of."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingPackageError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.monitor import describe

__all__ = [
    "are_probabilities",
    "check_predictions_path",
    "check_row_count",
    "fewer_predictions",
    "missing_part",
    "missing_pyarrow",
    "shared_file",
    "softmax_of_probabilities",
    "unknown_images",
    "unreadable_predictions",
]


def check_predictions_path(path: object, suffixes: Collection[str]) -> Path:
    """Return the path of a file of predictions."""
    if not isinstance(path, str | Path):
        raise InvalidTypeError(must("path", "be a text or a Path", type(path).__name__))
    if Path(path).suffix not in suffixes:
        raise InvalidValueError(must("path", "end in " + ", ".join(suffixes), repr(str(path))))
    return Path(path)


def missing_pyarrow() -> ModuleNotFoundError:
    """Return the error for parquet without pyarrow."""
    remedy = 'Install it with pip install "topk-lightning[parquet]".'
    return MissingPackageError(
        must("path", "end in .csv or .jsonl without pyarrow", ".parquet", remedy), name="pyarrow"
    )


def unreadable_predictions(outputs: Any) -> CallbackError:
    """Return the error for a predict_step that returns something else."""
    wanted = 'return logits (N, C), a dict with "logits" or "probabilities", or what topk_predictions returns'
    return CallbackError(must("predict_step", wanted, describe(outputs)))


def fewer_predictions(k: int, given: int) -> CallbackError:
    """Return the error for rows of fewer predictions than are asked for."""
    remedy = f"Use k={given}, or let predict_step return logits."
    return CallbackError(must("k", "be at most the number of predictions a row", f"{k} for rows of {given}", remedy))


def check_row_count(images: int, rows: int) -> None:
    """Raise unless there is a row of predictions for each image of a batch."""
    if images != rows:
        raise CallbackError(must("predict_step", f"return a row for each of the {images} images of the batch", rows))


def unknown_images() -> CallbackError:
    """Return the error for rows that nobody could tell apart."""
    wanted = "say which image a row is of where several processes predict data without an index"
    remedy = 'Let the batch be (images, paths) or a dict with "path".'
    return CallbackError(must("the batch", wanted, "neither paths nor indices", remedy))


def missing_part(path: str) -> CallbackError:
    """Return the error for the file of a process that is not there when the files are joined."""
    remedy = "All processes must write to the same file system."
    return CallbackError(must("path", "be reachable by all processes", f"no file {path!r}", remedy))


def shared_file(path: str, other: str) -> CallbackError:
    """Return the error for two writers whose processes would write to one file."""
    wanted = "have a name of its own before the ending for each TopKPredictionWriter"
    return CallbackError(must("path", wanted, f"{path!r} and {other!r}"))


def are_probabilities(outputs: Tensor) -> bool:
    """Return whether rows (N, C) can hardly be anything but what a softmax returned; one-hot rows can."""
    rows = outputs.double()
    sums = (rows.sum(1) - 1).abs() < 1e-3
    return len(rows) > 0 and bool(((rows > 0).all(1) & sums & (rows.amax(1) < 1)).all())


def softmax_of_probabilities() -> str:
    """Return the warning for probabilities that are taken for logits."""
    wanted = 'return logits where input is "logits"'
    return must("predict_step", wanted, "rows of probabilities", 'Say input="probabilities", or fix predict_step.')
