"""The sections of the page: a file and a template each, with a name space of their own, in one order."""

from __future__ import annotations

import shutil
from pathlib import Path

import jinja2
import pytest

from tests.report.modelled import Page, Scores, matrix_loader
from topk_lightning import write_report
from topk_lightning.report import _page, _sections
from topk_lightning.report._section import Section

TOY = """
from topk_lightning.report._section import Section

ORDER = 15


def section(results):
    return Section("Toy", {"note": f"{results.images} <images>"})
"""


@pytest.fixture
def own_templates(tmp_path, monkeypatch):
    """A copy of the templates that a test may add to."""
    folder = tmp_path / "templates"
    shutil.copytree(_page._TEMPLATES, folder)
    monkeypatch.setattr(_page, "_TEMPLATES", folder)
    _page._environment.cache_clear()
    yield folder / "sections"
    _page._environment.cache_clear()


def test_a_file_and_a_template_of_its_name_are_a_section(tmp_path, monkeypatch, own_templates):
    (tmp_path / "sections").mkdir()
    (tmp_path / "sections" / "toy.py").write_text(TOY)
    (own_templates / "toy.html").write_text("<p>{{ note }}</p>")
    monkeypatch.setattr(_sections, "__path__", [*_sections.__path__, str(tmp_path / "sections")])
    page = Page(write_report(Scores(), matrix_loader([[3, 1], [0, 4]]), tmp_path / "report.html", k=1))
    addresses = [found["id"] for tag, found in page.tags if tag == "section"]
    assert addresses[:3] == ["findings", "toy", "accuracy"]
    assert [found["href"] for tag, found in page.tags if tag == "a"][1:] == [f"#{address}" for address in addresses]
    assert "<p>8 &lt;images&gt;</p>" in page.source


def test_every_section_has_its_template_and_every_template_its_section():
    files = {path.stem for folder in _sections.__path__ for path in Path(folder).glob("[!_]*.py")}
    assert files == {path.stem for path in (_page._TEMPLATES / "sections").iterdir()}


def test_a_template_sees_the_data_of_its_own_section_alone(own_templates):
    (own_templates / "one.html").write_text("{{ note }}")
    (own_templates / "other.html").write_text("{{ note }}")
    summary = {
        "kicker": "",
        "sentence": "",
        "look": "",
        "verdict": "",
        "reason": "",
        "waffle": {"text": "", "dots": [], "parts": []},
    }
    sections = {"one": Section("One", {"note": "of one"}), "other": Section("Other", {})}
    with pytest.raises(jinja2.UndefinedError, match="'note' is undefined"):
        _page.render("title", summary, sections)
    sections["other"] = Section("Other", {"note": "of the other"})
    page = _page.render("title", summary, sections)
    assert page.index("of one") < page.index("of the other")
