"""What is wrong with a checkpoint, with the outputs of a model, with images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingFileError, UserError, must
from topk_lightning._checks.options import check_choice

__all__ = [
    "CHECKPOINT",
    "OTHER_WEIGHTS",
    "check_checkpoint",
    "check_finite_logits",
    "check_input",
    "check_outputs",
    "check_prepared_images",
    "check_probabilities",
    "content_of",
    "empty_folder",
    "missing_checkpoint",
    "missing_image",
    "missing_preprocessing",
    "not_normalised",
    "not_numbers",
    "other_structure",
    "unknown_images",
]

# What a file must be to be a model, and what to do with another one.
CHECKPOINT = "be a checkpoint that TopKClassifier saved"
OTHER_WEIGHTS = "For other weights pass the network itself as the model."

# How far a row of probabilities may be from a sum of 1: the rounding of a softmax in this precision, added up; of a
# list, which is read as float64, the rounding to three digits by whoever wrote it.
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def check_input(value: object) -> str:
    """Return what the outputs are: "logits" or "probabilities"."""
    return check_choice("input", value, ("logits", "probabilities"))


def check_outputs(outputs: Tensor) -> None:
    """Raise unless `outputs` are real scores (C,) or (N, C) without NaN."""
    if outputs.dtype == torch.bool or outputs.is_complex():
        raise InvalidTypeError(must("outputs", "hold real scores", str(outputs.dtype)))
    if outputs.dtype in (torch.uint16, torch.uint32, torch.uint64):  # torch stores these and can do little else
        raise InvalidTypeError(
            must("outputs", "be signed or floating-point scores", str(outputs.dtype), "Convert them first.")
        )
    if outputs.ndim not in (1, 2) or outputs.shape[-1] == 0:
        raise InvalidValueError(must("outputs", "have shape (C,) or (N, C)", tuple(outputs.shape)))
    broken = outputs.isnan().reshape(-1, outputs.shape[-1]).any(1).nonzero()
    if len(broken):
        remedy = "The model has diverged or its input was not finite."
        raise InvalidValueError(must("outputs", "hold no NaN", f"one in row {broken[0].item()}", remedy))


def check_finite_logits(logits: Tensor) -> None:
    """Raise where a softmax is not defined: a row with +inf, or with nothing but -inf."""
    best = logits.reshape(-1, logits.shape[-1]).amax(1)
    broken = best.isinf().nonzero()
    if len(broken):
        row = int(broken[0].item())
        wanted = "have a finite maximum in each row to become probabilities"
        raise InvalidValueError(must("outputs", wanted, f"{best[row].item()} in row {row}"))


def check_probabilities(outputs: Tensor) -> None:
    """Raise unless each row of `outputs` is ≥ 0 and sums to 1 within the precision of its dtype."""
    rows = outputs.reshape(-1, outputs.shape[-1])
    remedy = 'For raw outputs say input="logits"; independent (sigmoid) scores of several labels are no distribution.'
    tolerance = _TOLERANCE.get(rows.dtype, 0.0)
    outside = (rows < 0) | (rows > 1 + tolerance)
    if outside.any():
        row, column = outside.nonzero()[0].tolist()
        actual = f"{rows[row, column].item():g} in row {row}"
        raise InvalidValueError(must("outputs", "be probabilities in [0, 1]", actual, remedy))
    total = rows.double().sum(1)
    wrong = (total - 1).abs() > tolerance * (1 + 1e-9)  # 1 - 0.999 itself is rounded
    if wrong.any():
        row = int(wrong.nonzero()[0].item())
        actual = f"{total[row].item():g} in row {row}"
        raise InvalidValueError(must("outputs", "be probabilities that sum to 1", actual, remedy))


def not_numbers(actual: str) -> TypeError:
    """Return the error for outputs that cannot become a tensor."""
    return InvalidTypeError(must("outputs", "be a tensor, an array or a list of numbers", actual))


def check_prepared_images(images: Tensor) -> None:
    """Raise unless a tensor can be a prepared image or batch (floating-point), or pixels to prepare (uint8)."""
    if images.ndim not in (3, 4):
        raise InvalidValueError(
            must("images", "have shape (channels, H, W) or (N, channels, H, W)", tuple(images.shape))
        )
    if not (images.is_floating_point() or images.dtype == torch.uint8):
        wanted = "be floating-point (already prepared) or uint8 (pixels to prepare) where they are tensors"
        raise InvalidTypeError(must("images", wanted, str(images.dtype)))


def missing_checkpoint(path: str) -> FileNotFoundError:
    """Return the error for a checkpoint that is not there."""
    return MissingFileError(must("model", "be an existing checkpoint or an nn.Module", repr(path)))


def check_checkpoint(checkpoint: Any, path: str) -> dict[str, Any]:
    """Return the hyperparameters of a checkpoint that TopKClassifier saved."""
    parts: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
    options, weights = parts.get("hyper_parameters"), parts.get("state_dict")
    options = options if isinstance(options, dict) else {}
    named = isinstance(weights, dict) and all(isinstance(name, str) for name in weights)
    if "network" not in options or not isinstance(options.get("num_classes"), int) or not named:
        raise InvalidValueError(must("model", CHECKPOINT, repr(path), OTHER_WEIGHTS))
    return dict(options)


@contextlib.contextmanager
def content_of(path: Path | str) -> Iterator[None]:
    """Within it, what only stands in a checkpoint that somebody else wrote is one sentence, whatever it makes fail."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise InvalidValueError(must("model", CHECKPOINT, repr(str(path)), OTHER_WEIGHTS)) from error


def other_structure(network: str) -> ValueError:
    """Return the error for a network that the weights of a checkpoint do not fit."""
    return InvalidValueError(must("network", "have the structure of the one in the checkpoint", network))


def missing_preprocessing() -> ValueError:
    """Return the error for image files and a model that does not know how to prepare them."""
    return InvalidValueError(
        must(
            "preprocessing",
            "be given to read images for this model",
            None,
            "The model was not trained with a data module that has it: pass preprocessing=, or prepared tensors.",
        )
    )


def missing_image(path: str) -> FileNotFoundError:
    """Return the error for a path where nothing is."""
    return MissingFileError(must("images", "be existing files or folders", repr(path)))


def empty_folder(path: str, suffixes: Sequence[str], found: str = "", remedy: str = "") -> ValueError:
    """Return the error for a folder without an image; `found` says what it holds instead."""
    actual = f"{found or 'none'} in {path!r}"
    return InvalidValueError(must("images", f"hold a file that ends in {', '.join(suffixes)}", actual, remedy))


def unknown_images(images: object) -> TypeError:
    """Return the error for anything that is not an image."""
    wanted = "be paths, folders, PIL images, arrays, tensors, or a list of these"
    return InvalidTypeError(must("images", wanted, type(images).__name__))


def not_normalised(largest: float) -> ValueError:
    """Return the error for floating-point images with values that only pixels have."""
    wanted = "be normalised as in training where they are floating-point"
    remedy = "Pass pixels as uint8, which are prepared here, or say prepared=True."
    return InvalidValueError(must("images", wanted, f"values up to {largest:g}", remedy))
