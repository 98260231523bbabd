"""Objects to plain data: describe a network, a loss or an optimizer so that a checkpoint alone can rebuild it.

A description is what :mod:`topk_lightning.networks.specification` builds from. What cannot be described becomes
``{"unnamed": <what it was>}``, so that the checkpoint still loads and whoever needs the object can say what to pass.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning.networks._small_cnn import SmallCNN
from topk_lightning.networks.class_paths import TRUSTED
from topk_lightning.networks.specification import build_callable, build_network, check_specification, torchvision_names

__all__ = ["describe_callable", "describe_network", "is_library_network", "is_plain"]


def describe_network(
    network: nn.Module, num_classes: int, given: str | dict[str, Any] | nn.Module | None = None
) -> dict[str, Any]:
    """Return the specification from which a network of the same structure is built again.

    A specification that was given stands, without its pretrained weights. Otherwise names are tried first (a timm model
    knows its own; a torchvision model is compared with those of its file), then the import path of the class with the
    attributes that bear the names of its arguments. A specification counts only if the network built from it has the same
    layers, options, and parameter shapes. A class of the user's is built only if it keeps each of its arguments but the
    number of classes: its constructor may do anything. Whatever fails there, the network is {"unnamed": its class}.
    """
    if isinstance(given, str | dict):
        specification = check_specification("network", given)
        for pretrained in ("weights", "pretrained"):
            specification["init_args"].pop(pretrained, None)
        return specification
    for candidate in _candidates(network):
        # On the meta device nothing is computed or stored.
        if _builds(lambda: build_network(candidate, num_classes), network, device="meta"):  # noqa: B023
            return candidate
    return {"unnamed": f"{type(network).__module__}.{type(network).__qualname__}"}


def _candidates(network: nn.Module) -> list[dict[str, Any]]:
    """Return the specifications that may be that of `network`."""
    module = type(network).__module__
    if module.startswith("torchvision.models."):
        names = set(torchvision_names())
        return [{"class_path": name} for name in vars(importlib.import_module(module)) if name in names]
    if module.startswith("timm."):
        config = getattr(network, "pretrained_cfg", None) or {}
        return [{"class_path": f"timm/{config.get('architecture')}"}]
    described = _describe_module(network)
    if type(network) is SmallCNN and described is not None:
        return [{**described, "class_path": "small_cnn"}]
    return [] if described is None else [described]


def describe_callable(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the specification of a loss or of an optimizer's factory: a module, a function, a class or a partial."""
    if isinstance(function, nn.Module):
        described = _describe_module(function)
        if described and not _builds(lambda: build_callable("loss", described or {}), function, device="cpu"):
            described = None
    else:
        described = _describe_function(function)
    return described or {"unnamed": getattr(function, "__qualname__", type(function).__qualname__)}


def _describe_function(function: Callable[..., Any]) -> dict[str, Any] | None:
    if isinstance(function, functools.partial):
        made, arguments = function.func, function.args
        if str(made.__module__).startswith("jsonargparse.") and arguments:
            # A command line hands a class over as a partial of its own instantiator, the class last.
            made, arguments = arguments[-1], ()
        path, plain = _import_path(made), is_plain(function.keywords) and not arguments
        return {"class_path": path, "init_args": dict(function.keywords)} if path and plain else None
    path = _import_path(function)
    return None if path is None else {"class_path": path}


def _describe_module(module: nn.Module) -> dict[str, Any] | None:
    """Return the import path of the class of `module` with the attributes that bear the names of its arguments."""
    try:
        path, arguments = _import_path(type(module)), _arguments(module)
    except Exception:  # a property of the user's class, or a signature that cannot be read
        return None
    return None if path is None or arguments is None else {"class_path": path, "init_args": arguments}


def _import_path(obj: Any) -> str | None:
    """Return the path by which a class or function can be imported elsewhere, or None."""
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", "<locals>")
    if module is None or module == "__main__" or "<" in name or "." in name:
        return None
    return f"{module}.{name}"


def is_library_network(network: nn.Module) -> bool:
    """Return whether `network` is a torchvision or timm model, whose head may be replaced."""
    return type(network).__module__.startswith(("torchvision.models.", "timm."))


def is_plain(value: object) -> bool:
    """Return whether `value` consists of None, bool, int, float, str, list, tuple and dict alone."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _arguments(module: nn.Module) -> dict[str, Any] | None:
    """Return the constructor arguments that `module` keeps as plain attributes; None if one that matters is lost.

    A default stands for a lost argument in classes of torch and of this library alone, which may be built to compare.
    """
    may_guess = type(module).__module__.partition(".")[0] in TRUSTED
    arguments = {}
    for name, parameter in inspect.signature(type(module)).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            if may_guess and parameter.kind is parameter.VAR_KEYWORD:
                continue
            return None
        value: Any = getattr(module, name, inspect.Parameter.empty)
        if isinstance(value, Tensor) and value.ndim == 1:
            arguments[name] = value.tolist()
        elif value is not inspect.Parameter.empty and is_plain(value):
            arguments[name] = list(value) if isinstance(value, tuple) else value
        elif name != "num_classes" and (parameter.default is inspect.Parameter.empty or not may_guess):
            return None
    return arguments


def _builds(build: Callable[[], Any], module: nn.Module, device: str) -> bool:
    # What cannot be built on this device or with these arguments is not the module that was asked for.
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            return _same_structure(module, build())
    except Exception:
        return False


def _same_structure(first: nn.Module, second: nn.Module) -> bool:
    """Return whether two modules have the same layers, plain attributes and shapes of parameters and buffers."""
    tensors = [{name: (t.shape, t.dtype) for name, t in module.state_dict().items()} for module in (first, second)]
    if type(first) is not type(second) or tensors[0] != tensors[1] or repr(first) != repr(second):
        return False
    return all(_options(a) == _options(b) for a, b in zip(first.modules(), second.modules(), strict=True))


def _options(module: nn.Module) -> dict[str, Any]:
    return {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "training" and is_plain(v)}
