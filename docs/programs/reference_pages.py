"""The reference: a page a package, with what it exports.

A name whose ``:::`` stands on a page of docs/ is a link to it; a constant is what the comment ``#:`` above it says.
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path

from docstring_markup import with_indices

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = {
    "ranking": "Order rule",
    "feature_ranks": "Ranks from features",
    "metrics": "Metrics and class report",
    "temperature_scaler": "Temperature scaling",
    "losses": "Losses",
    "linear_topk_loss": "Losses of a head of many classes",
    "relaxations": "Relaxations",
    "schedules": "Schedules",
    "hierarchy": "Hierarchies",
    "scores": "Stored scores",
    "decisions": "Decisions",
    "networks": "Networks",
    "data": "Data modules",
    "classifier": "Classifier",
    "prediction": "Predictions",
    "callbacks": "Callbacks",
    "findings": "Findings",
    "report": "Reports",
    "export": "Export",
    "serving": "Server",
    "integrations.fastai": "fastai classes",
    "integrations.transformers": "Hugging Face Trainer",
}
"""Packages of the reference in reading order, with the titles of their pages."""

_COMMENT = re.compile(r"^((?:#: .*\n)+)(\w+(?:, \w+)*)(?:: .+)? = ", re.MULTILINE)


@cache
def packages() -> dict[str, list[str]]:
    """The public names of each package that there is."""
    names = {}
    for name in PACKAGES:
        if (ROOT / "topk_lightning" / name.replace(".", "/")).with_suffix(".py").exists() or (
            ROOT / "topk_lightning" / name.replace(".", "/")
        ).is_dir():
            names[name] = sorted(importlib.import_module(f"topk_lightning.{name}").__all__, key=str.lower)
    return names


@cache
def _comments(package: str) -> dict[str, str]:
    """Name of a constant of a package → the comment ``#: …`` above it."""
    comments = {}
    place = ROOT / "topk_lightning" / package.replace(".", "/")
    for path in [place.with_suffix(".py")] if place.with_suffix(".py").exists() else place.rglob("*.py"):
        for text, names in _COMMENT.findall(path.read_text(encoding="utf-8")):
            comments |= dict.fromkeys(names.split(", "), text.replace("#:", ""))
    return comments


@cache
def _homes() -> dict[str, str]:
    """Last part of a name → the page of docs/ on which its ``:::`` stands."""
    homes = {}
    for page in DOCS.rglob("*.md"):
        for path in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            homes[path.rpartition(".")[2] if ".fastai." not in path else path] = page.relative_to(DOCS).as_posix()
    return homes


def _home(package: str, name: str) -> str | None:
    return _homes().get(f"topk_lightning.{package}.{name}" if "fastai" in package else name)


def page(package: str) -> str:
    """Return the page of one package: a table of its names, then each that has no other home."""
    rows, objects = [], []
    module = importlib.import_module(f"topk_lightning.{package}")
    for name in packages()[package]:
        if not callable(getattr(module, name)):
            rows.append(f"| `{name}` | {_one_line(_comments(package)[name])} |")
            continue
        home = _home(package, name)
        sentence = (inspect.getdoc(getattr(module, name)) or _comments(package)[name]).partition("\n\n")[0]
        path = f"topk_lightning.{package}.{name}"
        address = f"../{home}#{_anchor(home, name)}" if home else f"#{path}"
        rows.append(f"| [`{name}`]({address}) | {_one_line(sentence)} |")
        objects += [] if home else [f"::: {path}"]
    listed = "\n".join(["| name | what it is |", "|---|---|", *rows])
    return "\n\n".join([f"# {PACKAGES[package]}", f"`topk_lightning.{package}`", listed, *objects]) + "\n"


def _anchor(page: str, name: str) -> str:
    paths = re.findall(rf"^::: ([\w.]*\b{name})$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return str(paths[0])


def _one_line(sentence: str) -> str:
    sentence = re.sub(
        r":(?:class|func|meth|attr|mod|math):`~?(?:[\w.]*\.)?([^`]+)`", r"`\1`", " ".join(sentence.split())
    )
    return with_indices(sentence.replace("|", "\\|").replace("``", "`"))


def index() -> str:
    """Return the first page of the reference."""
    rows = [
        f"| [{PACKAGES[package]}]({package.replace('.', '_')}.md) | {', '.join(f'`{name}`' for name in names)} |"
        for package, names in packages().items()
    ]
    return "\n".join(
        [
            "# Reference",
            "",
            "Every public name. The most used are imported from `topk_lightning`, for `lightning.pytorch` from",
            "`topk_lightning.lightning`; every function of a tensor also from `topk_lightning.functional`.",
            "",
            "| package | names |",
            "|---|---|",
            *rows,
            "",
            "[All error sentences](errors.md) · [Command line](../command_line.md) · [Changelog](../changelog.md)",
        ]
    )
