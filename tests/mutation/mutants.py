"""Every small change to a file: an operator, a condition, a constant, an argument or a step that is left out."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

_OPERATORS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_METHODS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "ones": "zeros", "zeros": "ones",
    "ones_like": "zeros_like", "zeros_like": "ones_like", "new_zeros": "new_ones", "new_ones": "new_zeros",
}  # fmt: skip
# Nothing runs there, or it only says what is public.
_SKIPPED = ("annotation", "returns", "type_params", "decorator_list", "bases")


class Mutant(NamedTuple):
    """One change: its key, which stands through changes elsewhere in the file, and the code that has it."""

    key: str
    function: str
    line: int
    code: CodeType


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Yield every mutant of a file."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for holder, name, index, node, where in _sites(tree, ""):
        for changed in _variants(node):
            key = f"{where}: {_line(node)} -> {_line(changed)}"
            seen[key] += 1
            ast.copy_location(changed, node)
            _put(holder, name, index, changed)
            code = compile(ast.fix_missing_locations(tree), path, "exec")
            _put(holder, name, index, node)
            yield Mutant(key if seen[key] == 1 else f"{key} (place {seen[key]})", where, node.lineno, code)


def _line(node: ast.AST) -> str:
    """Return the first line of a piece of code."""
    text = "nothing" if isinstance(node, ast.Pass) else ast.unparse(node).splitlines()[0]
    return text if len(text) <= 100 else f"{text[:99]}…"


def _put(holder: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(holder, name, node)
    else:
        getattr(holder, name)[index] = node


def _sites(parent: ast.AST, where: str) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, str]]:
    """Yield every node that does something, with the place that holds it and the function it belongs to."""
    for name, value in ast.iter_fields(parent):
        if name in _SKIPPED:
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _does_nothing(node):
                continue
            inner = where
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inner = f"{where}.{node.name}".lstrip(".")
            elif hasattr(node, "lineno"):
                yield parent, name, index, node, where or "module"
            yield from _sites(node, inner)


def _does_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return True
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "_Module", "P"):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
        yield _with(node, ops=[_OPERATORS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        yield _with(node, op=_OPERATORS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.If | ast.While):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant):
        yield from _other_constants(node)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            yield _with(node, keywords=[each for each in node.keywords if each is not keyword])
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            yield _with(node, func=_with(node.func, attr=_METHODS[node.func.attr]))
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield _with(node, value=ast.Constant(None))


def _other_constants(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node.value, str) and node.value:
        yield ast.Constant("")


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
