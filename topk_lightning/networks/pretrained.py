"""Pretrained weights: by the name that torchvision or timm gives them, or from a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning._files import read_archive
from topk_lightning.networks.description import is_library_network
from topk_lightning.networks.heads import find_head, replace_head
from topk_lightning.networks.specification import build_network, check_specification

__all__ = ["load_weights", "pretrained_network"]

_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth"}


def pretrained_network(network: str | dict[str, Any] | nn.Module, num_classes: int, weights: str | None) -> nn.Module:
    """Return a network with `num_classes` outputs and, where asked, pretrained weights.

    Args:
        network: a specification, or the network itself.
        num_classes: number of classes; the head of a torchvision or timm network is replaced where it has others.
        weights: a name that belongs to the network, a file, or None.

    Raises:
        ValueError: weights that do not fit, or a name of weights for a network that has none.
        FileNotFoundError: weights that could not be downloaded.
    """
    named = weights is not None and not _is_file(weights)
    if isinstance(network, nn.Module):
        if named:
            raise _weights_without_names(str(weights), type(network).__name__)
        built = network
    else:
        path = check_specification("network", network)["class_path"]
        has_weights = weights == "DEFAULT" if path.startswith("timm/") else path != "small_cnn" and "." not in path
        if named and not has_weights:
            raise _weights_without_names(str(weights), path)
        try:
            built = build_network(network, num_classes, weights if named else None)
        except OSError as error:
            if not named:
                raise
            raise _no_download(str(weights), path, error) from error
    if is_library_network(built):
        replace_head(built, num_classes)
    if weights is not None and not named:
        load_weights(built, weights)
    return built


def _is_file(weights: str) -> bool:
    return Path(weights).suffix.lower() in _SUFFIXES or Path(weights).exists()


def load_weights(network: nn.Module, path: str) -> None:
    """Load a file of weights into `network`; a head of another number of classes keeps its random start.

    Args:
        network: the network to fill.
        path: a state dict saved with torch.save, or a checkpoint of TopKClassifier or Lightning whose network is the
            attribute `network` or the module itself. It is read with ``weights_only=True``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is cut short or holds no weights, or anything but the head does not fit.
    """
    state: Any = read_archive(path, "weights", "be a file of tensors that torch.save wrote")
    state = state.get("state_dict", state) if isinstance(state, Mapping) else {}
    if not any(isinstance(value, Tensor) for value in state.values()):
        raise InvalidValueError(must("weights", "be a file of tensors by their names", repr(path)))
    if any(name.startswith("network.") for name in state):
        state = {name[len("network.") :]: value for name, value in state.items() if name.startswith("network.")}
    expected, head = network.state_dict(), find_head(network)
    fitting = {
        name: value for name, value in state.items() if name in expected and _shape(value) == expected[name].shape
    }
    wrong = [name for name in expected if name not in fitting and name.rpartition(".")[0] != head]
    unknown = [name for name in state if name not in expected]
    if wrong or unknown:
        raise _weights_do_not_fit(path, wrong, unknown)
    network.load_state_dict(fitting, strict=False)


def _shape(value: object) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None


def _weights_do_not_fit(weights: str, missing: Collection[str], unexpected: Collection[str]) -> ValueError:
    """Return the error for a file of weights that belongs to another network."""
    actual = f"{weights!r} with {len(missing)} missing or misshapen and {len(unexpected)} unknown tensors"
    first = sorted([*missing, *unexpected])[:3]
    return InvalidValueError(
        must("weights", "fit the network everywhere but in its head", actual, f"First: {', '.join(first)}.")
    )


def _no_download(weights: str, network: str, error: OSError) -> MissingFileError:
    """Return the error for published weights that are not on this machine, and cannot be fetched."""
    reason = " ".join(str(error).split()).strip("<>. ")[:120]
    remedy = "Save their state_dict where there is a connection, and name that file."
    return MissingFileError(
        must("weights", "be a file or have been downloaded once", f"{weights!r} of {network} ({reason})", remedy)
    )


def _weights_without_names(weights: str, network: str) -> ValueError:
    """Return the error for named weights of a network that has none."""
    return InvalidValueError(
        must(
            "weights",
            "be a file for this network",
            f"{weights!r} for {network}",
            "Names of weights belong to networks given by a torchvision or timm name.",
        )
    )
