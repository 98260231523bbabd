"""A network from a checkpoint of TopKClassifier, for prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from topk_lightning._checks.prediction import (
    CHECKPOINT,
    OTHER_WEIGHTS,
    check_checkpoint,
    missing_checkpoint,
    other_structure,
)
from topk_lightning._files import read_archive
from topk_lightning.networks.specification import build_network

__all__ = ["TrainedModel", "load_checkpoint", "read_checkpoint"]


@dataclass
class TrainedModel:
    """A network with the names of its classes and how images are prepared for it, as far as they are known."""

    network: nn.Module
    class_names: list[str] | None
    preprocessing: Any


def read_checkpoint(path: str | Path) -> Any:
    """Return what a checkpoint holds, undamaged."""
    if not Path(path).is_file():
        raise missing_checkpoint(str(path))
    return read_archive(path, "model", CHECKPOINT, OTHER_WEIGHTS)


def load_checkpoint(path: str | Path, network: nn.Module | None = None) -> TrainedModel:
    """Return the network of a checkpoint with its weights, on the CPU.

    The file is read with ``weights_only=True``, so it cannot run code; a network of your own class is imported from the
    path that it names.

    Args:
        path: a checkpoint that TopKClassifier saved.
        network: the network to fill, for a checkpoint that cannot name its own.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a checkpoint of something else, or one that asks for `network`.
    """
    checkpoint = read_checkpoint(path)
    options = check_checkpoint(checkpoint, str(path))
    if network is None:
        network = build_network(options["network"], options["num_classes"])
    prefix = "network."
    state = {name[len(prefix) :]: t for name, t in checkpoint["state_dict"].items() if name.startswith(prefix)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise other_structure(type(network).__name__) from error
    return TrainedModel(network, options.get("class_names"), options.get("preprocessing"))
