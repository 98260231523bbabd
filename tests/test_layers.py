"""The house: one level a package, imports (for types, too) point down only, and each level uses only what it may."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "topk_lightning"

# From the ground up. A place imports only from places before it, and from itself.
LEVELS = (
    "_checks",
    "_files",
    "_repr",
    "_topk_ways",
    "_target_ranks",
    "class_shards",
    "ranking",
    "feature_ranks",
    "schedules",
    "curricula",
    "relaxations",
    "hierarchy",
    "losses",
    "metrics",
    "linear_topk_loss",
    "functional",
    "temperature_scaler",
    "_topk_prediction",
    "scores",
    "decisions",
    "networks",
    "drawing",
    "epoch_table",
    "data",
    "prediction",
    "classifier",
    "findings",
    "report",
    "callbacks",
    "integrations",
    "export",
    "serving",
    "lightning",
    "cli",
    "__main__",
)

# What the lower levels may import from outside the standard library at module level.
OUTSIDE = {place: {"torch"} for place in LEVELS[: LEVELS.index("networks") + 1]}
OUTSIDE["metrics"] = {"torch", "torchmetrics"}
OUTSIDE["scores"] = {"torch", "numpy"}
OUTSIDE["decisions"] = {"torch", "torchmetrics", "numpy", "lazy_loader"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place_of(module: str) -> str:
    """`topk_lightning.losses._base` → `losses`."""
    return module.split(".")[1]


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}
GRAPH: dict[str, set[str]] = {}


def imports(node: ast.AST) -> Iterator[str]:
    """Full names of what a file imports anywhere: at its head, in a function, for type checking."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


def imported_modules(module: str) -> set[str]:
    if module not in GRAPH:
        tree = ast.parse(MODULES[module].read_text())
        GRAPH[module] = {name for name in imports(tree) if name in MODULES} - {module}
        assert place_of(module) == "cli" or "topk_lightning" not in imports(tree), (
            f"{module} imports the package itself"
        )
    return GRAPH[module]


def test_every_place_has_a_level():
    assert {place_of(module) for module in MODULES} == set(LEVELS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    level = LEVELS.index(place_of(module))
    above = sorted(other for other in imported_modules(module) if LEVELS.index(place_of(other)) > level)
    assert not above, f"{module} imports {', '.join(above)} from above"


@pytest.mark.parametrize("module", MODULES)
def test_no_package_uses_the_private_files_of_another(module):
    foreign = [
        other
        for other in imported_modules(module)
        if place_of(other) != place_of(module) and any(part.startswith("_") for part in other.split(".")[2:])
    ]
    assert not foreign, f"{module} imports {', '.join(sorted(foreign))}"


def exports(package: str) -> set[str]:
    """The modules from which a package takes the names that it offers, be it when they are asked for (``__init__.pyi``)."""
    stub = MODULES[package].with_suffix(".pyi")
    lazily = ast.walk(ast.parse(stub.read_text() if stub.exists() else ""))
    return imported_modules(package) | {
        f"{package}.{node.module}" for node in lazily if isinstance(node, ast.ImportFrom)
    }


@pytest.mark.parametrize("module", [module for module in MODULES if module.count(".") > 1])
def test_a_file_that_only_its_own_package_uses_is_private(module):
    package, _, file = module.rpartition(".")
    foreign = {other for other in MODULES if module in imported_modules(other) and place_of(other) != place_of(module)}
    used_at_home = any(module in imported_modules(other) for other in MODULES if other != package)
    is_package = MODULES[module].name == "__init__.py"
    if used_at_home and not foreign and not is_package and module not in exports(package):
        assert file.startswith("_"), f"only {place_of(module)} uses {file}: call it _{file}"


def test_there_is_no_circle_of_files():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in imported_modules(module):
            # Importing a package's module also imports the package's __init__; that is Python's affair.
            visit(other, (*way, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


def runs_at_import(statement: ast.stmt) -> bool:
    """What a function imports when it is called, and a type checker alone, is its own affair."""
    for_types = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
    return not for_types and not isinstance(statement, ast.FunctionDef | ast.ClassDef)


@pytest.mark.parametrize("module", [module for module in MODULES if place_of(module) in OUTSIDE])
def test_lower_levels_use_only_torch_from_outside(module):
    allowed = OUTSIDE[place_of(module)] | sys.stdlib_module_names | {"topk_lightning"}
    tree = ast.parse(MODULES[module].read_text())
    used = {name.split(".")[0] for statement in tree.body if runs_at_import(statement) for name in imports(statement)}
    assert used <= allowed, f"{module} imports {', '.join(sorted(used - allowed))}"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_holds_one_idea(module):
    assert len(MODULES[module].read_text().splitlines()) <= 250
