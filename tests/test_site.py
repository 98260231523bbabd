"""The site as `make docs` builds it: whole, with one home for each name, and readable on a phone and in the dark."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import LOOKS

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="the site is built with Python 3.11 or later")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def hook(site):
    sys.path.insert(0, str(ROOT / "docs" / "programs"))
    return importlib.import_module("site_pages")


def test_each_public_name_has_one_home(site, hook):  # which puts the programs on the path
    pages = {path: path.read_text() for path in site.rglob("*.html")}
    for package, names in importlib.import_module("reference_pages").packages().items():
        text = pages[site / f"reference/{package.replace('.', '_')}.html"]
        for name in names:
            if not callable(getattr(importlib.import_module(f"topk_lightning.{package}"), name)):
                continue
            address = re.search(rf'<a href="([^"#]*)#([^"]+)"><code>{name}</code></a>', text)
            assert address, f"{package}.{name} is no link"
            here = site / f"reference/{package.replace('.', '_')}.html"
            home = (here.parent / address[1]).resolve() if address[1] else here
            assert f'id="{address[2]}"' in pages[home], f"{package}.{name} is not on {home.name}"


def test_the_first_page_is_the_readme(site):
    text = (site / "index.html").read_text()
    for heading in re.findall(r"^#+ (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.sub(r"[`*]", "", heading) in re.sub(r"<[^>]+>", "", text), heading


def test_every_error_sentence_is_on_the_page_of_errors(site):
    text = re.sub(r"<[^>]+>", "", (site / "reference/errors.html").read_text())
    assert "class_dim must be a dimension of ndim that is not the batch (dimension 0), got class_dim." in text
    calls = sum(len(re.findall(r"\bmust\(", path.read_text())) for path in (ROOT / "topk_lightning").rglob("*.py"))
    assert text.count(" must ") > 0.7 * calls


def test_a_formula_of_a_page_is_drawn_and_code_is_left_alone(hook):
    drawn = hook.on_page_markdown("a $x^2$, `$y$`, 5 $ and 6 $\n\n$$\nz\n$$\n\n```bash\necho $HOME$x\n```\n")
    assert drawn.count("<math") == 2
    assert "`$y$`" in drawn
    assert "echo $HOME$x" in drawn
    assert "5 $ and 6 $" in drawn


def test_no_markup_is_left_in_a_text(site):
    """No LaTeX between dollars, no table of rules, no role, no stars: all that a page says has been drawn."""
    for path in site.rglob("*.html"):
        words = re.sub(
            r"<(pre|code|script|style|annotation)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        left = re.search(r"\$\$|\\[a-z]{2,}|={4,}|``|:(?:class|func|meth|math):|\*\*", re.sub(r"<[^>]+>", "", words))
        assert left is None, f"{path.name}: {left[0]} at {words[left.start() : left.end() + 60]!r}"


def test_each_name_of_the_reference_says_what_it_is(site):
    for path in (site / "reference").glob("*.html"):
        assert not re.findall(
            r"<tr[^>]*>\s*<td[^>]*>(.*?)</td>\s*<td[^>]*>\s*</td>", path.read_text(encoding="utf-8")
        ), path.name


def test_a_line_may_begin_with_a_formula(site):
    """Its paragraph goes on: a formula in a line is in a span, without which Markdown takes it for a block."""
    text = (site / "choosing.html").read_text(encoding="utf-8")
    assert re.search(r'<p><span class="in-line"><math.*?</math></span>: logits; <span class="in-line"><math', text)


# What of a page is not to be read at a glance: code cut off at the right, text of tables broken within a word.
_CUT = """() => [...document.querySelectorAll("pre > code")].filter(c => c.scrollWidth > c.clientWidth)
    .map(c => c.innerText.split("\\n").reduce((a, b) => a.length > b.length ? a : b))"""
_BROKEN = """() => [...document.querySelectorAll(".md-typeset table:not([class]) :is(td, th)")].filter(cell => {
    const style = getComputedStyle(cell);
    return style.wordBreak === "break-all" || style.overflowWrap === "anywhere"
        || [...cell.querySelectorAll("code, .whole")].some(
            code => code.getClientRects().length > 1 && !code.innerText.includes(" "));
}).map(cell => cell.innerText.slice(0, 60))"""
_WIDE_FORMULAS = """() => [...document.querySelectorAll(".formula")].filter(
    f => f.scrollWidth > f.clientWidth && getComputedStyle(f).overflowX !== "auto").length"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_with_a_dark_twin_is_shown_once_in_each_scheme(site, open_page, scheme):
    opened = open_page(site / "index.html", scheme)
    shown = opened.page.evaluate(
        "[...document.querySelectorAll('article img')].filter(i => i.offsetWidth).map(i => i.src)"
    )
    assert len(shown) == 2
    assert all(("dark" in address.rpartition("/")[2]) == (scheme == "dark") for address in shown)


def test_each_picture_of_pixels_has_its_dark_twin(site):
    """The phone's is dark itself; drawings (.svg) are turned over by the stylesheet."""
    for page in (path for path in site.rglob("*.html") if path.parent.name != "notebooks"):
        shown = re.findall(r'<img [^>]*src="([^"]+\.png)(#only-\w+)?"', page.read_text(encoding="utf-8"))
        assert not [name for name, scheme in shown if not scheme and not name.endswith("_dark_390.png")], page


def test_a_notebook_is_a_page_with_what_it_printed_and_drew(site):
    text = (site / "notebooks" / "first_steps.html").read_text()
    assert text.count("<img") >= 3
    assert "best so far" in text
    assert (site / "notebooks" / "first_steps.ipynb").is_file()


@pytest.mark.parametrize(*LOOKS)
def test_no_page_pans_sideways_and_code_and_tables_are_whole(site, open_page, scheme, width):
    pages = sorted(set(site.rglob("*.html")) - {site / "404.html"})  # which a server shows, at any address
    assert len(pages) > 40
    opened = open_page(site / "index.html", scheme, width)
    for page in pages if (scheme, width) in [("light", 390), ("dark", 1280)] else pages[:3]:
        opened.page.goto(page.as_uri())
        opened.assert_fits()
        assert not opened.page.evaluate(_WIDE_FORMULAS), page
        assert not opened.page.evaluate(_BROKEN), page
        broken = opened.page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
        assert not broken, page
        if width == 1280:
            assert not opened.page.evaluate(_CUT), page
