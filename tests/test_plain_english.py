"""The docs are written in short sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Other pages state how something was measured, setting by setting.
PLAIN = [
    "README",
    "install",
    "how_do_i",
    "coming_from",
    "comparison",
    "gallery",
    "order_rule",
    "relaxations",
    "calibration",
    "class_report",
    "classifier",
    "prediction",
    "report",
    "serving",
    "fastai",
    "transformers",
    "export",
    "index",
]


def sentences(text):
    """The words of each sentence outside of code, formulas, tables and headings."""
    for hidden in (r"^```.*?^```", r"<!--.*?-->", r"^<p>.*?</p>", r"^\$\$.*?^\$\$"):
        text = re.sub(hidden, ".\n\n", text, flags=re.M | re.S)
    text = re.sub(r"^(\||:::|#).*$", "\n\n", text, flags=re.M)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\][(\[][^)\]]*[)\]]", r"\1", text)
    text = re.sub(r"`[^`]*`|\$[^$\n]+\$", "Code", text)
    text = re.sub(r"^(\s*[-*] |\d+\. )", "\n\n", text, flags=re.M)
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.?!:])\s+(?=[A-Z0-9\"“])", " ".join(paragraph.replace("*", "").split())):
            words = [word for word in sentence.split() if re.search(r"\w", word)]
            if len(words) > 2:
                yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short_on_average(page):
    lengths = [len(words) for words in sentences(page.read_text())]
    assert sum(lengths) <= 22 * len(lengths)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem in PLAIN], ids=lambda page: str(page.relative_to(ROOT))
)
def test_no_sentence_has_more_than_35_words(page):
    assert not [" ".join(words) for words in sentences(page.read_text()) if len(words) > 35]
