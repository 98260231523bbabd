"""The formulas and links of docstrings, as the documentation site shows them."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("griffe")
pytest.importorskip("latex2mathml")


@pytest.fixture(scope="module")
def to_markdown():
    sys.path.insert(0, str(ROOT / "docs" / "programs"))
    from docstring_markup import to_markdown

    yield to_markdown
    sys.path.remove(str(ROOT / "docs" / "programs"))


def test_a_formula_of_its_own_is_a_block_and_may_go_on_in_the_next_line(to_markdown):
    text = to_markdown("Sum.\n\n.. math:: a +\n    b\n\nMore.", "m")
    assert re.fullmatch(r'Sum\.\n\n<div class="formula"><math .*display="block".*</math></div>\n\nMore\.', text)
    assert re.sub("<[^>]*>", "", text) == "Sum.\n\na&#x0002B;b\n\nMore."


def test_a_formula_in_a_sentence_stays_in_it(to_markdown):
    assert re.sub("<[^>]*>", "", to_markdown(r"With :math:`n_{ap}` images.", "m")) == "With nap images."


def test_a_plain_formula_has_its_indices_and_powers_in_place(to_markdown):
    text = to_markdown("s_{∖y,[k]} − s_y < s_[k+1], e^−x and n^(−1/4); max_k and `a_b` stay.\n\n>>> a_b\n", "m")
    assert text == (
        "s<sub>∖y,[k]</sub> − s<sub>y</sub> < s<sub>[k+1]</sub>, e<sup>−x</sup> and n<sup>−1/4</sup>; max_k and `a_b` "
        "stay.\n\n>>> a_b\n"
    )


@pytest.mark.parametrize(
    ("role", "path", "shown"),
    [
        (":class:`topk_lightning.TopKAccuracy`", "topk_lightning.TopKAccuracy", "TopKAccuracy"),
        (":func:`~topk_lightning.losses.soft_topk_loss`", "topk_lightning.losses.soft_topk_loss", "soft_topk_loss"),
        (":func:`torch.topk`", "torch.topk", "torch.topk"),
        (":meth:`plot`", "topk_lightning.schedules.plot", "plot"),
        (":meth:`Hierarchy.of`", "topk_lightning.schedules.Hierarchy.of", "Hierarchy.of"),
    ],
)
def test_a_role_is_a_link_where_the_site_has_its_target(to_markdown, role, path, shown):
    expected = f'See <autoref optional identifier="{path}"><code>{shown}</code></autoref>.'
    assert to_markdown(f"See {role}.", "topk_lightning.schedules") == expected


def docstrings():
    for path in sorted((ROOT / "topk_lightning").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                yield path.name, ast.get_docstring(node)


def test_every_formula_of_the_package_can_be_drawn(to_markdown):
    drawn = 0
    for name, text in docstrings():
        shown = to_markdown(text, "m")
        drawn += shown.count("<math ")
        assert not re.search(r"math::|:math:|:(class|func|meth|attr|mod):", shown), name
        assert not re.search(r"<m\w+>\\\w", shown), f"{name} has a command that the converter does not know"
    assert drawn > 20
