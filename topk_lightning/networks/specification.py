"""Networks, losses and optimizers from plain data: names, import paths and arguments.

A specification is ``{"class_path": …, "init_args": {…}}``, as in a configuration of LightningCLI. The class path is
"small_cnn", the name of a torchvision classification model ("resnet18"), "timm/<model>", or the import path of an
nn.Module. The number of classes is filled in where the class takes `num_classes`.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from topk_lightning._checks.network import check_specification, missing_package, unknown_network, unknown_path
from topk_lightning.networks.small_cnn import SmallCNN

__all__ = ["build_callable", "build_network", "torchvision_names"]

# Both return several outputs in training and change their input when they are built with weights.
_WITHOUT_SINGLE_OUTPUT = {"googlenet", "inception_v3"}


def build_network(specification: str | dict[str, Any], num_classes: int, weights: str | None = None) -> nn.Module:
    """Return the network of a specification with `num_classes` outputs.

    Args:
        specification: a name, a class path, or {"class_path": …, "init_args": {…}}.
        num_classes: number of classes C.
        weights: name of torchvision weights ("DEFAULT", "IMAGENET1K_V1"), or "DEFAULT" for those of a timm model; the
            network then keeps the outputs of these weights.

    Raises:
        ValueError: if no network has this name.
        ModuleNotFoundError: if torchvision or timm is needed and not installed.

    Examples:
        >>> build_network({"class_path": "small_cnn", "init_args": {"width": 8}}, num_classes=3).width
        8
    """
    specification = check_specification("network", specification)
    name, arguments = specification["class_path"], specification["init_args"]
    if name == "small_cnn":
        builder: Callable[..., Any] = SmallCNN
    elif name.startswith("timm/"):
        builder, arguments = _timm_builder(name), {"model_name": name[len("timm/") :], **arguments}
        if weights is not None:
            arguments["pretrained"] = True
    elif "." in name:
        builder = _import_module_class(name)
    else:
        builder = _torchvision_builder(name)
        if weights is not None:
            arguments["weights"] = weights
    if weights is None and _takes_num_classes(builder):
        arguments = {"num_classes": num_classes, **arguments}
    network: nn.Module = builder(**arguments)
    return network


def build_callable(argument: str, specification: dict[str, Any]) -> Callable[..., Any]:
    """Return the loss module of a specification, its function, or its class with arguments bound (an optimizer).

    Args:
        argument: "loss" or "optimizer", for the error.
        specification: {"class_path": …, "init_args": {…}}.
    """
    specification = check_specification(argument, specification)
    path, arguments = specification["class_path"], specification["init_args"]
    try:
        found = _import(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise unknown_path(argument, path) from error
    if isinstance(found, type) and issubclass(found, nn.Module):
        if isinstance(arguments.get("weight"), list):
            arguments["weight"] = torch.tensor(arguments["weight"])
        return found(**arguments)
    if not callable(found):
        raise unknown_path(argument, path)
    return functools.partial(found, **arguments) if arguments else found


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _takes_num_classes(builder: Callable[..., Any]) -> bool:
    parameters = inspect.signature(builder).parameters.values()
    return any(p.name == "num_classes" or p.kind is p.VAR_KEYWORD for p in parameters)


def _import_module_class(path: str) -> type[nn.Module]:
    try:
        found = _import(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise unknown_network(path) from error
    # Only modules are built, so that a checkpoint cannot name a function to call.
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise unknown_network(path)
    return found


def _timm_builder(name: str) -> Callable[..., Any]:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise missing_package(name, "timm") from error
    if not timm.is_model(name[len("timm/") :]):
        raise unknown_network(
            name, [f"timm/{near}" for near in difflib.get_close_matches(name[5:], timm.list_models())]
        )
    builder: Callable[..., Any] = timm.create_model
    return builder


def torchvision_names() -> list[str]:
    """Return the names of torchvision's classification models that return one tensor."""
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if name not in _WITHOUT_SINGLE_OUTPUT]


def _torchvision_builder(name: str) -> Callable[..., Any]:
    try:
        import torchvision
    except ModuleNotFoundError as error:
        raise missing_package(name, "torchvision") from error
    names = torchvision_names()
    if name not in names:
        raise unknown_network(name, difflib.get_close_matches(name, [*names, "small_cnn"], n=2))
    builder: Callable[..., Any] = torchvision.models.get_model_builder(name)
    return builder
