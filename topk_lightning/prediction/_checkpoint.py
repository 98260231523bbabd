"""The file of a trained model: read without running its code, its network built and filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning._files import read_archive
from topk_lightning.networks.class_paths import trusted_options
from topk_lightning.networks.compiled import compiled_names
from topk_lightning.networks.specification import build_network
from topk_lightning.networks.unfilled import NoRandomWeights
from topk_lightning.prediction._errors import (
    CHECKPOINT,
    OTHER_WEIGHTS,
    check_checkpoint,
    missing_checkpoint,
    other_structure,
)
from topk_lightning.prediction._folder import read_folder

__all__ = ["read_checkpoint", "trained_network"]


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a checkpoint of TopKClassifier, or an exported folder, holds, and the options of the classifier among it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged checkpoint, or one of something else.
    """
    if Path(path).is_dir():
        checkpoint = read_folder(Path(path))
        return checkpoint, check_checkpoint(checkpoint, str(path))
    if not Path(path).is_file():
        raise missing_checkpoint(str(path))
    checkpoint = read_archive(path, "model", CHECKPOINT, OTHER_WEIGHTS)
    return checkpoint, check_checkpoint(checkpoint, str(path))


def trained_network(
    checkpoint: Mapping[str, Any], options: Mapping[str, Any], given: nn.Module | str | None, trust: Iterable[str]
) -> nn.Module:
    """Return a network with the weights of a checkpoint.

    Args:
        checkpoint: what :func:`read_checkpoint` read.
        options: of the classifier, among it.
        given: the network to fill, or its name; None: the one that the checkpoint names.
        trust: packages whose modules the checkpoint may name.

    Raises:
        ValueError: weights that do not fit, or a network that the checkpoint cannot build.
    """
    network = given if isinstance(given, nn.Module) else _build(given, options, trust)
    prefix = "network."
    state = {name[len(prefix) :]: t for name, t in checkpoint["state_dict"].items() if name.startswith(prefix)}
    try:
        network.load_state_dict(compiled_names(state, network))
    except Exception as error:  # a file of a stranger may hold anything there
        raise other_structure(type(network).__name__) from error
    return network


def _build(given: str | None, options: Mapping[str, Any], trust: Iterable[str]) -> nn.Module:
    """Return the network that is given by name, or the one that a checkpoint names."""
    if given is not None:
        with NoRandomWeights():
            return build_network(given, options["num_classes"])
    named = trusted_options(options, trust, ["network"])["network"]
    try:
        with NoRandomWeights():
            return build_network(named, options["num_classes"])
    except UserError:
        raise
    except Exception as error:  # what a constructor makes of arguments that are none of its own
        raise InvalidValueError(must("network", "be built as the checkpoint says", f"{error}"[:100])) from error
