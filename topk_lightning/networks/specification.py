"""Networks, losses and optimizers from plain data: names, import paths and arguments.

A specification is ``{"class_path": …, "init_args": {…}}``, as in a configuration of LightningCLI. The class path is
"small_cnn", the name of a torchvision classification model ("resnet18"), "timm/<model>", the import path of an
nn.Module, or "package.module:function" for a function that returns one. The number of classes is filled in where the class takes `num_classes`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingPackageError, must, shown
from topk_lightning.networks._small_cnn import SmallCNN
from topk_lightning.networks.class_paths import as_function, import_class

__all__ = ["build_callable", "build_network", "check_specification", "torchvision_names"]

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
        builder, arguments = _timm_builder(name), {**arguments, "model_name": name[len("timm/") :]}
        if weights is not None:
            arguments["pretrained"] = True
    elif ":" in name:
        builder = as_function("network", name)
    elif "." in name:
        builder = import_class("network", name)
    else:
        builder = _torchvision_builder(name)
        if weights is not None:
            arguments["weights"] = weights
    if weights is None and _takes_num_classes(builder):
        arguments = {"num_classes": num_classes, **arguments}
    _check_arguments(name, builder, arguments)
    network = builder(**arguments)
    if not isinstance(network, nn.Module):
        raise InvalidTypeError(must("network", f"be an nn.Module where {name} returns one", type(network).__name__))
    return network


def build_callable(argument: str, specification: dict[str, Any]) -> Callable[..., Any]:
    """Return the loss module of a specification, its function, or its class with arguments bound (an optimizer).

    Args:
        argument: "loss" or "optimizer", for the error.
        specification: {"class_path": …, "init_args": {…}}.
    """
    specification = check_specification(argument, specification)
    path, arguments = specification["class_path"], specification["init_args"]
    named_class = import_class(argument, path)
    if isinstance(named_class, type) and issubclass(named_class, nn.Module):
        if isinstance(arguments.get("weight"), list):
            arguments["weight"] = torch.tensor(arguments["weight"])
        return named_class(**arguments)
    return functools.partial(named_class, **arguments) if arguments else named_class


def _check_arguments(name: str, builder: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Raise for arguments that a builder does not take, and for those that it lacks."""
    try:
        inspect.signature(builder).bind(**arguments)
    except TypeError as error:
        given = f"{name} {sorted(arguments)}"
        raise InvalidTypeError(must("network", "be given the arguments that it takes", f"{given} ({error})")) from error
    except ValueError:  # a builder in C, which has no signature
        return


def _takes_num_classes(builder: Callable[..., Any]) -> bool:
    parameters = inspect.signature(builder).parameters.values()
    return any(p.name == "num_classes" or p.kind is p.VAR_KEYWORD for p in parameters)


def _timm_builder(name: str) -> Callable[..., Any]:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise _missing_package(name, "timm") from error
    if not timm.is_model(name[len("timm/") :]):
        raise _unknown_network(
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
        raise _missing_package(name, "torchvision") from error
    names = torchvision_names()
    if name in _WITHOUT_SINGLE_OUTPUT:
        wanted, actual = "return logits alone", f"{name!r}, which returns several outputs in training"
        raise InvalidValueError(must("network", wanted, actual, "Use 'timm/inception_v3', which returns one."))
    if name not in names:
        raise _unknown_network(name, difflib.get_close_matches(name, [*names, "small_cnn"], n=2))
    builder: Callable[..., Any] = torchvision.models.get_model_builder(name)
    return builder


def check_specification(name: str, specification: object) -> dict[str, Any]:
    """Return `specification` as {"class_path": …, "init_args": {…}}; a text is a class path without arguments."""
    if isinstance(specification, dict) and "unnamed" in specification:
        raise _unnamed_network(str(specification["unnamed"]))
    if isinstance(specification, str):
        specification = {"class_path": specification}
    wanted = "be a name, a class path or {'class_path': …, 'init_args': {…}}"
    if not isinstance(specification, dict):
        raise InvalidTypeError(must(name, wanted, type(specification).__name__))
    path, arguments = specification.get("class_path"), specification.get("init_args") or {}
    if not isinstance(path, str) or not isinstance(arguments, dict):
        raise InvalidValueError(must(name, wanted, shown(specification)))
    # A command line writes arguments beside the class path: --model.network.class_path=… --model.network.init_args.width=8.
    beside = {key: value for key, value in specification.items() if key not in ("class_path", "init_args")}
    return {"class_path": path, "init_args": {**beside, **arguments}}


def _unknown_network(name: str, suggestions: Collection[str] = ()) -> ValueError:
    """Return the error for a name that stands for no network."""
    wanted = "be 'small_cnn', a torchvision classification model, 'timm/<model>' or the import path of an nn.Module"
    remedy = f"Did you mean {' or '.join(map(repr, suggestions))}?" if suggestions else ""
    return InvalidValueError(must("network", wanted, repr(name), remedy))


def _unnamed_network(what: str) -> ValueError:
    """Return the error for a checkpoint whose network cannot be built again from a name."""
    return InvalidValueError(
        must(
            "network",
            "be given for this checkpoint",
            "none",
            f"Its network ({what}) cannot be rebuilt by name: pass one of the same structure as network=.",
        )
    )


def _missing_package(network: str, package: str) -> ModuleNotFoundError:
    """Return the error for a network whose package is not installed."""
    remedy = 'Run pip install "topk-lightning[timm]".' if package == "timm" else f"Run pip install {package}."
    return MissingPackageError(must(package, f"be installed for {network!r}", "no such package", remedy), name=package)
