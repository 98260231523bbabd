"""The gate of class paths: who may be named in a file, and that the class is of the kind asked for before it is called.

Importing a module runs it, and so does calling what it holds. What a person writes in code, on a command line or in a
configuration of their own is imported; what a checkpoint names is data of whoever made it, so :func:`trusted_options`
lets only packages pass that run nothing of others, and those that the user trusts by name.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must, shown
from topk_lightning.schedules import Schedule

__all__ = ["TRUSTED", "as_function", "import_class", "trusted_options"]

#: What a checkpoint may name without being asked.
TRUSTED = ("timm", "topk_lightning", "torch", "torchvision")

# Functions among them that a checkpoint may name as a loss; others read files, load code, open connections.
_LOSS_FUNCTIONS = ("torch.nn.functional.", "topk_lightning.functional.", "topk_lightning.losses.", "torchvision.ops.")

# Where ours lie. A checkpoint names no other module of ours: a classifier would build what its own arguments name.
_OURS = {"network": "topk_lightning.networks.", "loss": "topk_lightning.losses."}

# Arguments by which builders read a file or open a connection.
_SOURCES = {
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_backbone",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "url",
    "weights",
    "weights_backbone",
}

_KINDS = {"network": nn.Module, "loss": nn.Module, "optimizer": Optimizer, "schedule": Schedule}


def trusted_options(
    options: Mapping[str, Any], trust: Iterable[str] = (), arguments: Iterable[str] = ("network", "loss", "optimizer")
) -> dict[str, Any]:
    """Return the options of a checkpoint's classifier if it names nothing but classes of trusted packages.

    Arguments that would read a file or open a connection are dropped: a checkpoint has its own weights.

    Args:
        options: the hyperparameters of a TopKClassifier.
        trust: packages of others whose modules may be imported.
        arguments: which of the options will be built.

    Raises:
        ValueError: a class path of another package; nothing was imported then.
    """
    names = {trust} if isinstance(trust, str) else set(trust)
    checked = dict(options)
    for argument in arguments:
        given = checked.get(argument)
        path = given.get("class_path") if isinstance(given, Mapping) else given
        if isinstance(path, str) and ("." in path or ":" in path) and not path.startswith("timm/"):
            _check_package(argument, path, names)
        if isinstance(given, Mapping) and isinstance(given.get("init_args"), Mapping):
            checked[argument] = {**given, "init_args": _without_sources(given["init_args"])}
        if isinstance(checked.get(argument), Mapping):
            checked[argument] = {name: value for name, value in checked[argument].items() if name not in _SOURCES}
    return checked


def import_class(argument: str, path: str) -> Any:
    """Return the class or function at an import path, if it is of the kind asked for; it is not called.

    Args:
        argument: "network" (an nn.Module class), "loss" (one, or a function of logits and target), "optimizer" (an
            Optimizer class, or a function that returns one), "schedule" (a Schedule class, or a function) or another word, for which any class or function will do.
        path: such as "package.module.Class".

    Raises:
        ValueError: no such module or name, or another kind; a module that is not there is named with the folders searched.
    """
    module, _, name = path.rpartition(".")
    try:
        imported = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise _missing_module(argument, path, str(error.name)) from error
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise _unknown_path(argument, path) from error
    kind = _KINDS.get(argument)
    if isinstance(imported, type):
        if kind is not None and not issubclass(imported, kind):
            raise _unknown_path(argument, path)
    elif argument == "network" or not callable(imported) or (argument == "loss" and not _takes_two(imported)):
        raise _unknown_path(argument, path)
    elif kind is not None and module.partition(".")[0] in sys.stdlib_module_names:
        raise _unknown_path(argument, path)  # os.system: no function of Python's own is a loss or an optimizer
    return imported


def as_function(argument: str, path: str) -> Callable[..., Any]:
    """Return the function that a person names as "package.module:function"."""
    module, _, name = path.partition(":")
    try:
        imported = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise _missing_module(argument, path, str(error.name)) from error
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidValueError(must(argument, "be package.module:function", shown(path))) from error
    if not callable(imported):
        raise InvalidTypeError(must(argument, "be package.module:function", shown(path)))
    return imported  # type: ignore[no-any-return]


def _check_package(argument: str, path: str, trust: set[str]) -> None:
    package = re.split("[.:]", path)[0]
    if any(path.startswith((f"{name}.", f"{name}:")) for name in trust):
        return
    remedy = f"Importing runs code: if you trust it, say trust=[{package!r}], on the command line --trust {package}."
    if package not in TRUSTED or ":" in path:
        wanted = f"be of {', '.join(TRUSTED[:-1])} or {TRUSTED[-1]} in a checkpoint"
        raise InvalidValueError(must(argument, wanted, shown(path), remedy))
    kind = f"be {'an' if argument == 'optimizer' else 'a'} {argument} in a checkpoint"
    # What stands in __main__ runs where it is imported.
    if any(part.startswith("__") for part in path.split(".")) or (
        package == "topk_lightning" and not _is_ours(argument, path)
    ):
        raise InvalidValueError(must(argument, kind, shown(path)))
    if argument == "loss" and not path.startswith(_LOSS_FUNCTIONS) and not path.rpartition(".")[2][:1].isupper():
        raise InvalidValueError(must(argument, kind, shown(path), remedy))
    if argument == "optimizer" and not path.startswith(("torch.optim.", "timm.optim.")):
        raise InvalidValueError(must(argument, kind, shown(path), remedy))


def _is_ours(argument: str, path: str) -> bool:
    """Return whether a path of this library is that of a network, or of a loss."""
    where = _OURS.get(argument, "")
    if where and path.startswith((where, *(_LOSS_FUNCTIONS if argument == "loss" else ()))):
        return True
    # By the shorter paths that a user may have written.
    named = re.fullmatch(r"topk_lightning\.(?:lightning\.)?(\w+)", path)
    if named is None or argument != "loss":
        return named is not None and argument == "network" and named[1] == "SmallCNN"
    import topk_lightning.losses as losses  # only now: who predicts needs none of them

    return named[1] in losses.__all__


def _without_sources(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in arguments.items()
        if name not in _SOURCES and not (isinstance(value, str) and "://" in value)
    }


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not say what it takes
        return False
    return True


def _unknown_path(argument: str, path: str) -> ValueError:
    kinds = {
        "network": "an nn.Module class",
        "loss": "an nn.Module class or of a function of (logits, target)",
        "optimizer": "an Optimizer class or of a function that returns one",
        "schedule": "a Schedule class or of a function of the progress",
    }
    wanted = f"be the import path of {kinds.get(argument, 'a class or function')}"
    return InvalidValueError(must(argument, wanted, shown(path)))


def _missing_module(argument: str, path: str, module: str) -> ValueError:
    folders = (folder or os.getcwd() for folder in sys.path if not folder.endswith((".zip", "lib-dynload")))
    places = list(dict.fromkeys(folders))
    searched = ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
    remedy = "Install it, start where it lies, or add its folder to PYTHONPATH."
    wrong = f"{shown(path)}: there is no module {module!r} in {searched}"
    return InvalidValueError(must(argument, "be importable here", wrong, remedy))
