"""The browser harness itself: it must see what goes wrong, or the tests of pages prove nothing."""

from __future__ import annotations

import pytest

from tests.browser import LOOKS

PAGE = """<!doctype html><html lang="en"><title>A page</title><style>
:root {{ color-scheme: light dark }} body {{ background: white }}
@media (prefers-color-scheme: dark) {{ body {{ background: black }} }} </style>{}</html>"""


@pytest.fixture
def page_file(tmp_path):
    def write(body):
        path = tmp_path / "page.html"
        path.write_text(PAGE.format(body))
        return path

    return write


@pytest.mark.parametrize(*LOOKS)
def test_a_page_is_seen_in_its_scheme_and_width(open_page, page_file, scheme, width):
    opened = open_page(page_file("<p>Hello"), scheme, width)
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(0, 0, 0)"}[scheme]
    assert opened.page.evaluate("innerWidth") == width
    opened.assert_fits()
    assert opened.screenshot("page").stat().st_size > 0
    assert [url.partition(":")[0] for url in opened.requests] == ["file"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<script>console.error('broken')</script>", "console error: broken"),
        ("<script>throw new Error('thrown')</script>", "exception: thrown"),
        ("<img alt='' src='missing.png'>", "console error: Failed to load resource"),
        ("<img alt='' src='https://example.com/a.png'>", "left this machine: https://example.com/a.png"),
    ],
)
def test_what_goes_wrong_on_a_page_is_noticed(open_page, page_file, body, problem):
    opened = open_page(page_file(body))
    assert problem in " ".join(opened.problems)
    opened.problems.clear()


def test_a_page_wider_than_the_window_is_noticed(open_page, page_file):
    opened = open_page(page_file("<div style='width: 500px'>wide"), width=390)
    with pytest.raises(AssertionError, match="px wide in a window of 390 px"):
        opened.assert_fits()
