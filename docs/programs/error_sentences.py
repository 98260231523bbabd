"""The page of all error sentences: read off the calls of ``must``, so that it is never behind the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def page(package: Path) -> str:
    """Return the page: a table a package, a row a sentence."""
    tables = []
    for name, sentences in _by_package(package).items():
        rows = [f"| {row} |" for row in sorted(sentences)]
        tables.append("\n".join([f"## {name}", "", "| sentence |", "|---|", *rows]))
    head = (
        "# All error sentences\n\nEach names the argument, what it must be, what it was, and at most one remedy. *Slanted* words stand for\n"
        "what you passed. All of them are a `topk_lightning.UserError` beside `ValueError`, `TypeError` or the like."
    )
    return "\n\n".join([head, *tables]) + "\n"


def _by_package(package: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package).parts[0].removesuffix(".py")
        place = "shared by all" if place == "_checks" else place
        for sentence in _sentences(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(place, set()).add(sentence)
    return found


def _sentences(tree: ast.Module) -> Iterator[str]:
    constants = {
        ast.unparse(node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.JoinedStr))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "must":
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            argument, requirement, actual, *remedy = [_text(part, constants) for part in parts]
            yield _escaped(" ".join([f"{argument} must {requirement}, got {actual}.", *remedy]))


def _text(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """A literal as it stands; what is computed by its name, marked."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, constants) + _text(node.right, constants)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants)
    if ast.unparse(node) in constants:
        return _text(constants[ast.unparse(node)], constants)
    if isinstance(node, ast.Call) and node.args:
        return _text(node.args[0], constants) if not isinstance(node.args[0], ast.Constant) else "‹…›"
    words = ast.unparse(node).removeprefix("self.")
    return f"‹{words}›" if words.replace(".", "").replace("_", "").isalnum() else "‹…›"


def _escaped(sentence: str) -> str:
    sentence = sentence.replace("›‹", "› ‹")
    for special in "\\|*_<>[]`":
        sentence = sentence.replace(special, f"\\{special}")
    return " ".join(sentence.replace("‹", "*").replace("›", "*").split())
