"""Packages that an export needs and a plain installation lacks."""

from __future__ import annotations

from importlib.util import find_spec

from topk_lightning._checks import MissingPackageError, must

__all__ = ["check_installed"]


def check_installed(form: str, extra: str, *packages: str) -> None:
    """Raise one sentence that names the first package that is missing, and the extra that brings it."""
    for package in packages:
        if find_spec(package) is None:
            remedy = f'Run pip install "topk-lightning[{extra}]".'
            sentence = must(package, f"be installed for format={form!r}", "no such package", remedy)
            raise MissingPackageError(sentence, name=package)
