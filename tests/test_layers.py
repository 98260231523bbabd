"""The house: imports point down only, without a circle, and each layer uses only what it may from outside."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "topk_lightning"

LAYERS = {
    "drawing": 1,
    "epoch_table": 2,
    "_checks": -1,
    "_target_ranks": -1,
    "_topk_ways": -1,
    "_files": -1,
    **dict.fromkeys(("ranking", "relaxations", "hierarchy", "schedules", "curricula", "kernels"), 0),
    **dict.fromkeys(("losses", "metrics", "networks", "functional", "temperature_scaler"), 1),
    **dict.fromkeys(
        (
            "classifier",
            "callbacks",
            "data",
            "decisions",
            "findings",
            "prediction",
            "report",
            "serving",
            "integrations",
            "lightning",
        ),
        2,
    ),
    **dict.fromkeys(("cli", "__main__", "__init__"), 3),
}

# What a layer may import from outside the standard library at module level.
OUTSIDE = {-1: {"torch"}, 0: {"torch"}, 1: {"torch"}}
OUTSIDE_OF_PLACE = {"metrics": {"torch", "torchmetrics", "matplotlib"}}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def place_of(module: str) -> str:
    """`topk_lightning.losses._base` → `losses`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(node: ast.AST) -> Iterator[str]:
    """Full names of the modules that a file imports anywhere, but for type checking."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            for other in child.orelse:
                yield from imports(other)
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imports(child)


def imported_modules(path: Path) -> set[str]:
    known = {name_of(other) for other in modules()}
    return {name for name in imports(ast.parse(path.read_text())) if name in known} - {name_of(path)}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_down(path):
    place = place_of(name_of(path))
    assert place in LAYERS, f"{place} has no layer"
    for module in imported_modules(path):
        if module == "topk_lightning":
            assert LAYERS[place] == 3, f"{name_of(path)} imports the package itself"
            continue
        assert LAYERS[place_of(module)] <= LAYERS[place], f"{name_of(path)} imports {module}"


def test_there_is_no_circle():
    graph = {name_of(path): imported_modules(path) for path in modules()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in graph[module]:
            # Importing a package's module also imports the package's __init__; that is Python's affair.
            visit(other, (*way, module))
        done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", [p for p in modules() if LAYERS.get(place_of(name_of(p)), 9) <= 1], ids=name_of)
def test_lower_layers_use_only_torch_from_outside(path):
    place = place_of(name_of(path))
    allowed = OUTSIDE_OF_PLACE.get(place, OUTSIDE[LAYERS[place]])
    tree = ast.parse(path.read_text())
    for statement in tree.body:
        if is_type_checking(statement) or isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue  # what a function imports when it is called is its own affair
        for module in imports(ast.Module(body=[statement], type_ignores=[])):
            top = module.split(".")[0]
            assert top in allowed | sys.stdlib_module_names | {"topk_lightning"}, f"{name_of(path)} imports {module}"
