"""Put changed code into a module: into the functions that are there, or when it is imported."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from types import CodeType, FunctionType
from typing import Any


def module_name(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


class _Mutated(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    def __init__(self, path: str, code: CodeType) -> None:
        super().__init__(module_name(path), path)
        self.code = code

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, name: str) -> CodeType:
        return self.code


def imports_mutant(path: str, code: CodeType) -> None:
    """Let the module of a file be this code, once it is imported."""
    sys.meta_path.insert(0, _Mutated(path, code))


def put_in(path: str, code: CodeType) -> None:
    """Give the functions of a module, which others hold already, the code that they have here."""
    old = sys.modules[module_name(path)]
    new: dict[str, Any] = {"__name__": old.__name__, "__package__": old.__package__, "__file__": old.__file__}
    exec(code, new)
    for name, value in new.items():
        if getattr(value, "__module__", None) == old.__name__ and hasattr(old, name):
            _put(getattr(old, name), value)


def _put(old: Any, new: Any) -> None:
    if inspect.isclass(new):
        for name, value in vars(new).items():
            before, after = _function(vars(old).get(name)), _function(value)
            if before is not None and after is not None and len(before.__code__.co_freevars) == len(after.__code__.co_freevars):  # fmt: skip
                _put(before, after)
    elif isinstance(new, FunctionType) and isinstance(old, FunctionType):
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def _function(value: Any) -> FunctionType | None:
    for name in ("__func__", "fget", "func"):
        value = getattr(value, name, value) if isinstance(value, staticmethod | classmethod | property | functools.cached_property) else value  # fmt: skip
    return value if isinstance(value, FunctionType) else None
