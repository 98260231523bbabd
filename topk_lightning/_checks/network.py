"""Checks of networks: image size and channels, names, specifications, weights, outputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingPackageError, must

__all__ = [
    "check_images",
    "check_logits",
    "check_specification",
    "missing_head",
    "missing_package",
    "unknown_network",
    "unknown_path",
    "unnamed_network",
    "weights_do_not_fit",
    "weights_without_names",
]


def check_images(images: Tensor, channels: int, minimum: int) -> None:
    """Raise unless `images` is a floating-point batch (N, channels, H, W) with H, W ≥ minimum."""
    wanted = f"have shape (N, {channels}, H, W)"
    if images.ndim != 4:
        remedy = "Add the batch dimension with images.unsqueeze(0)." if images.ndim == 3 else ""
        raise InvalidValueError(must("images", wanted, tuple(images.shape), remedy))
    if not images.is_floating_point():
        remedy = "Scale pixels to [0, 1] first, for example with torchvision.transforms.v2.ToDtype(scale=True)."
        raise InvalidTypeError(must("images", "be floating-point", str(images.dtype), remedy))
    if images.shape[1] != channels:
        if images.shape[3] == channels:
            remedy = "Put the channels second with images.permute(0, 3, 1, 2)."
        else:
            remedy = f"Build the network with in_channels={images.shape[1]}, or convert the images."
        raise InvalidValueError(must("images", wanted, tuple(images.shape), remedy))
    if images.shape[2] < minimum or images.shape[3] < minimum:
        size = f"{images.shape[2]} x {images.shape[3]}"
        raise InvalidValueError(
            must("images", f"be at least {minimum} x {minimum} pixels", size, "Enlarge them first.")
        )


def check_logits(logits: object, rows: int, num_classes: int | None) -> Tensor:
    """Return the output of a network if it is one row of `num_classes` logits an image; None: of any number."""
    number = "C" if num_classes is None else num_classes
    wanted = f"return logits of shape ({rows}, {number})"
    if not isinstance(logits, Tensor):
        remedy = "Switch its auxiliary outputs off, or wrap it in a module that returns the logits alone."
        raise InvalidTypeError(must("network", wanted, type(logits).__name__, remedy))
    if logits.ndim != 2 or tuple(logits.shape) != (rows, logits.shape[1] if num_classes is None else num_classes):
        remedy = f"Give its last layer {number} outputs, one a class."
        raise InvalidValueError(must("network", wanted, tuple(logits.shape), remedy))
    return logits


def check_specification(name: str, specification: object) -> dict[str, Any]:
    """Return `specification` as {"class_path": …, "init_args": {…}}; a text is a class path without arguments."""
    if isinstance(specification, dict) and "unnamed" in specification:
        raise unnamed_network(str(specification["unnamed"]))
    if isinstance(specification, str):
        specification = {"class_path": specification}
    wanted = "be a name, a class path or {'class_path': …, 'init_args': {…}}"
    if not isinstance(specification, dict):
        raise InvalidTypeError(must(name, wanted, type(specification).__name__))
    path, arguments = specification.get("class_path"), specification.get("init_args") or {}
    if not isinstance(path, str) or not isinstance(arguments, dict):
        raise InvalidValueError(must(name, wanted, specification))
    # A command line writes arguments beside the class path: --model.network.class_path=… --model.network.init_args.width=8.
    beside = {key: value for key, value in specification.items() if key not in ("class_path", "init_args")}
    return {"class_path": path, "init_args": {**beside, **arguments}}


def unknown_network(name: str, suggestions: Collection[str] = ()) -> ValueError:
    """Return the error for a name that stands for no network."""
    wanted = "be 'small_cnn', a torchvision classification model, 'timm/<model>' or the import path of an nn.Module"
    remedy = f"Did you mean {' or '.join(map(repr, suggestions))}?" if suggestions else ""
    return InvalidValueError(must("network", wanted, repr(name), remedy))


def unknown_path(argument: str, path: str) -> ValueError:
    """Return the error for an import path that leads to nothing that can be called."""
    return InvalidValueError(must(argument, "be the import path of a class or function", repr(path)))


def unnamed_network(what: str) -> ValueError:
    """Return the error for a checkpoint whose network cannot be built again from a name."""
    return InvalidValueError(
        must(
            "network",
            "be given for this checkpoint",
            "none",
            f"Its network ({what}) cannot be rebuilt by name: pass one of the same structure as network=.",
        )
    )


def missing_package(network: str, package: str) -> ModuleNotFoundError:
    """Return the error for a network whose package is not installed."""
    remedy = f"Run pip install {package}."
    return MissingPackageError(must(package, f"be installed for {network!r}", "no such package", remedy), name=package)


def missing_head(network: str, num_classes: int) -> ValueError:
    """Return the error for a network in which no last layer can be told from a backbone."""
    wanted = f"end in an nn.Linear or nn.Conv2d with {num_classes} outputs to tell its head from its backbone"
    return InvalidValueError(must("network", wanted, network))


def weights_do_not_fit(weights: str, missing: Collection[str], unexpected: Collection[str]) -> ValueError:
    """Return the error for a file of weights that belongs to another network."""
    found = f"{weights!r} with {len(missing)} missing or misshapen and {len(unexpected)} unknown tensors"
    first = sorted([*missing, *unexpected])[:3]
    return InvalidValueError(
        must("weights", "fit the network everywhere but in its head", found, f"First: {', '.join(first)}.")
    )


def weights_without_names(weights: str, network: str) -> ValueError:
    """Return the error for named weights of a network that has none."""
    return InvalidValueError(
        must(
            "weights",
            "be a file for this network",
            f"{weights!r} for {network}",
            "Names of weights belong to networks given by a torchvision or timm name.",
        )
    )
