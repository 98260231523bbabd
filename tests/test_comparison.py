"""The comparison with other libraries says what each of them answers when it is asked."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "programs"))
compare_libraries = importlib.import_module("compare_libraries")

PAGE = (ROOT / "docs" / "comparison.md").read_text()
TABLE = PAGE.split(compare_libraries.BEGIN)[1].split(compare_libraries.END)[0].strip().splitlines()
HEADINGS, _, *ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE]


def column(library):
    """The answers of a library on the page, and the version that gave them."""
    place = next(place for place, heading in enumerate(HEADINGS) if heading.split(" ")[0] == library)
    return HEADINGS[place].partition(" ")[2], [row[place] for row in ROWS]


def test_the_page_asks_every_question_of_every_library():
    assert [row[0] for row in ROWS] == list(compare_libraries.QUESTIONS)
    assert [heading.split(" ")[0] for heading in HEADINGS[1:]] == list(compare_libraries.LIBRARIES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", compare_libraries.LIBRARIES)
def test_a_library_answers_as_the_page_says(library):
    versions = compare_libraries.installed()
    version, answers = column(library)
    if library not in versions:
        pytest.skip(f"{library} is not installed")
    if version and version != versions[library]:
        pytest.skip(f"the page tells of {library} {version}, installed is {versions[library]}")
    assert answers == compare_libraries.answers(library)


def test_what_is_not_run_is_named():
    assert "difftopk, pytopk and TorchCP by the tests" in PAGE
    costs = (ROOT / "docs" / "losses" / "index.md").read_text()
    for name in ("difftopk, SmoothTopKLoss", "pytopk, BalNoisedTopK"):
        row = re.search(rf"^\| {name} \|.*$", costs, flags=re.M)[0].split("|")
        time, memory = row[4].strip(), row[6].strip()
        assert time in PAGE, name
        assert memory in PAGE, name
