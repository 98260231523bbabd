"""The public names: sorted, complete, documented, and twins alike."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import topk_lightning
from topk_lightning import functional, losses

PACKAGE = Path(topk_lightning.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"


def in_order(names):
    """Constants, then classes, then the others."""
    return sorted(names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))


def test_all_is_sorted_and_exists():
    assert topk_lightning.__all__ == in_order(topk_lightning.__all__)
    for name in topk_lightning.__all__:
        assert hasattr(topk_lightning, name)


def test_what_type_checkers_are_told_is_what_is_there():
    told = {
        alias.asname or alias.name
        for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told | {"__version__"} == set(topk_lightning.__all__)
    with pytest.raises(AttributeError, match="TopkAccuracy"):
        _ = topk_lightning.TopkAccuracy


def test_importing_the_package_alone_imports_no_torch():
    code = "import sys, topk_lightning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent).returncode == 0


@pytest.mark.parametrize("package", ["losses", "metrics", "data", "callbacks", "relaxations", "functional"])
def test_names_of_each_package_are_sorted_and_exist(package):
    module = importlib.import_module(f"topk_lightning.{package}")
    assert module.__all__ in (in_order(module.__all__), sorted(module.__all__))  # by ruff, or by the stub
    for name in module.__all__:
        assert hasattr(module, name)


def test_functional_holds_every_function_of_the_lower_layers():
    found = {name for name in losses.__all__ if name.islower()}
    assert found <= set(functional.__all__)


@pytest.mark.parametrize("name", [name for name in losses.__all__ if name.endswith("Loss")])
def test_each_loss_module_has_its_function_with_the_same_options(name):
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("TopK", "Topk")).lower()
    function, module = getattr(losses, snake), getattr(losses, name)
    of_function = inspect.signature(function).parameters
    of_module = inspect.signature(module).parameters
    options = [option for option in of_function if option not in ("logits", "target", "training")]
    assert sorted(options) == sorted(of_module)
    for option in options:
        assert of_function[option].default == of_module[option].default, option


def test_every_public_name_has_a_page():
    reference = ast.parse((DOCS / "programs" / "reference_pages.py").read_text())
    (packages,) = (
        ast.literal_eval(node.value)
        for node in reference.body
        if getattr(node, "targets", [None])[0] and ast.unparse(node.targets[0]) == "PACKAGES"
    )
    homes = [
        place
        for place in packages
        if (PACKAGE / place.replace(".", "/")).is_dir() or (PACKAGE / f"{place}.py").is_file()
    ]
    documented = {name for home in homes for name in importlib.import_module(f"topk_lightning.{home}").__all__}
    assert set(topk_lightning.__all__) - documented == {"__version__", "functional", "schedules"}


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert topk_lightning.__version__ == version("topk-lightning")


@pytest.mark.parametrize("name", [name for name in topk_lightning.__all__ if name != "__version__"])
def test_every_public_name_says_what_it_is(name):
    thing = getattr(topk_lightning, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        first = (inspect.getdoc(thing) or "").split("\n")[0]
        assert first[:1].isupper(), name


def test_every_module_says_what_it_is_for():
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_importing_the_library_does_not_touch_the_random_state():
    before = torch.get_rng_state()
    importlib.reload(topk_lightning)
    assert torch.equal(before, torch.get_rng_state())


def test_the_public_interface_is_the_one_that_is_written_down():
    for package in ("fastai", "transformers", "starlette"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from tests.public_api import WRITTEN, public_api

    written, found = WRITTEN.read_text(encoding="utf-8").splitlines(), public_api()
    difference = [line for line in difflib.ndiff(written, found) if line[:2] in ("- ", "+ ")]
    assert not difference, "\n".join(
        [
            *difference,
            "If this is meant, write it down: python -m tests.public_api. What is gone (-) needs a deprecation first: see "
            '"Versions" in docs/contributing.md.',
        ]
    )
