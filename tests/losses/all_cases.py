"""Every record of a loss: those of `cases.py`, and of each file `cases_*.py` beside it."""

from __future__ import annotations

import importlib
import pkgutil

import tests.losses
from tests.losses.cases import CASES, LossCase

__all__ = ["ALL_CASES"]

_FILES = [module.name for module in pkgutil.iter_modules(tests.losses.__path__) if module.name.startswith("cases_")]

ALL_CASES: list[LossCase] = [
    *CASES,
    *(case for name in _FILES for case in importlib.import_module(f"tests.losses.{name}").CASES),
]
