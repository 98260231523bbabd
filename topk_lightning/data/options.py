"""A data module as plain data, which a checkpoint can keep and from which the module is built again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, must, shown

__all__ = ["build_data_module", "plain_options"]

_HOME = "topk_lightning.data"


def plain_options(data: Any) -> dict[str, Any]:
    """Return the class and the constructor's arguments of a data module, as str, int, float, bool, None, lists and dicts.

    Each argument is read from the attribute of its name. Paths are made absolute. What is no plain data, such as an
    augmentation of one's own, is left out, so that the default takes its place.

    Examples:
        >>> from topk_lightning.data import EmojiDataModule
        >>> options = plain_options(EmojiDataModule(image_size=32, classes=["food-fruit"]))
        >>> options["class_path"], options["init_args"]["classes"], options["init_args"]["image_size"]
        ('topk_lightning.data.EmojiDataModule', ['food-fruit'], 32)
        >>> build_data_module(options).num_classes
        14
    """
    kind = type(data)
    ours = kind.__module__ == "topk_lightning.lightning" or kind.__module__.startswith(f"{_HOME}.")
    arguments = {}
    for name in inspect.signature(kind).parameters:
        try:
            arguments[name] = _plain(getattr(data, name))
        except Exception:
            continue
    return {"class_path": f"{_HOME if ours else kind.__module__}.{kind.__qualname__}", "init_args": arguments}


def build_data_module(options: Mapping[str, Any], **changes: Any) -> Any:
    """Return a data module of this library from what `plain_options` returned.

    Args:
        options: class path and arguments.
        changes: arguments to use instead.

    Raises:
        ValueError: a class that `topk_lightning.data` does not hold; nothing is imported or called then.
    """
    import topk_lightning.data as data

    path, arguments = options.get("class_path"), options.get("init_args", {})
    known = {f"{_HOME}.{name}": name for name in dir(data) if name.endswith("DataModule")}
    if not isinstance(path, str) or path not in known:
        raise InvalidValueError(must("class_path", f"be one of {', '.join(known)}", shown(path)))
    return getattr(data, known[path])(**{**arguments, **changes})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} is no plain data")
