"""Where each kind of thing must be registered: what the recipes of docs/contributing.md ask for, read off the files.

Nothing is imported, so that a copy of the repository with a half-registered name can be asked, too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["missing_places"]


def missing_places(root: Path) -> list[str]:
    """Return every place in which a loss, metric, callback, data set, finding or section of the package is not yet named."""
    places = [*_losses(root), *_metrics(root), *_callbacks(root), *_data_sets(root), *_findings(root), *_sections(root)]
    return [f"{name} in {where}" for name, where, is_there in places if not is_there]


Place = tuple[str, str, bool]


def _losses(root: Path) -> Iterator[Place]:
    for file, name in _classes(root / "topk_lightning/losses", "ClassificationLoss"):
        function = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("TopK", "Topk")).lower()
        yield from _named(
            root, name, "topk_lightning/losses/__init__.py", "topk_lightning/__init__.pyi", "CHANGELOG.md"
        )
        yield from _named(root, function, "topk_lightning/losses/__init__.py", "topk_lightning/functional.py")
        yield from _named(root, name, "docs/choosing.md")
        yield name, "tests/losses/cases*.py", _in_any(root, "tests/losses/cases*.py", name)
        yield name, f"docs/losses/*.md (such as {file.stem}.md)", _in_any(root, "docs/losses/*.md", f"losses.{name}")


def _metrics(root: Path) -> Iterator[Place]:
    for _, name in _classes(root / "topk_lightning/metrics", "ExactMetric", "MetricCollection"):
        if name == "MeanLoss":  # an exact mean for modules, no measure of the k best
            continue
        yield from _named(
            root, name, "topk_lightning/metrics/__init__.py", "topk_lightning/__init__.pyi", "CHANGELOG.md"
        )
        yield from _named(root, name, "tests/metrics/test_contract.py")
        yield name, "docs/*.md", _in_any(root, "docs/*.md", name)


def _callbacks(root: Path) -> Iterator[Place]:
    for file in _public(root / "topk_lightning/callbacks"):
        (name,) = _exported(file)
        yield from _named(
            root, name, "topk_lightning/callbacks/__init__.py", "topk_lightning/__init__.pyi", "CHANGELOG.md"
        )
        page = f"callbacks/{file.stem}.md"
        yield name, f"docs/{page}", (root / "docs" / page).is_file()
        yield from _named(root, file.stem + ".md", "docs/callbacks/index.md")


def _data_sets(root: Path) -> Iterator[Place]:
    for file in _public(root / "topk_lightning/data"):
        for name in _exported(file):
            if name.endswith("DataModule"):
                yield from _named(root, name, "topk_lightning/data/__init__.pyi")
                yield from _named(root, f"## {name}", "docs/data.md")


def _findings(root: Path) -> Iterator[Place]:
    for _, name in _classes(root / "topk_lightning/findings", "Finding"):
        yield from _named(root, name, "topk_lightning/findings/__init__.py")


def _sections(root: Path) -> Iterator[Place]:
    for file in _public(root / "topk_lightning/report/_sections"):
        template = f"topk_lightning/report/templates/sections/{file.stem}.html"
        yield file.stem, template, (root / template).is_file()


def _named(root: Path, name: str, *files: str) -> Iterator[Place]:
    """Whether a name stands in each of the files, as a whole word."""
    for file in files:
        yield name, file, bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", (root / file).read_text()))


def _in_any(root: Path, pattern: str, *texts: str) -> bool:
    pages = [path.read_text() for path in root.glob(pattern)]
    return any(re.search(rf"{re.escape(text)}(?!\w)", page) for text in texts for page in pages)


def _public(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def _exported(file: Path) -> list[str]:
    """The names in ``__all__``."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _classes(folder: Path, *bases: str) -> Iterator[tuple[Path, str]]:
    """The exported classes of public files that derive from one of the bases."""
    for file in _public(folder):
        names = _exported(file)
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in names:
                derived = {ast.unparse(base).partition("[")[0] for base in node.bases} & set(bases)
                yield from [(file, node.name)] if derived else []
