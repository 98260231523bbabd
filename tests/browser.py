"""Pages in headless Chromium: in light and dark, at two widths, without the network; what goes wrong fails the test.

A test asks for the fixture `open_page`. Where no Chromium is found, it is left out and the summary says so. Playwright
keeps an event loop in the main thread as long as a test module runs that uses it: `asyncio.run` belongs elsewhere.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
SCHEMES = ("light", "dark")
WIDTHS = (390, 1280)

# Every look that a page has to bear: @pytest.mark.parametrize(*LOOKS)
LOOKS = (("scheme", "width"), [(scheme, width) for scheme in SCHEMES for width in WIDTHS])

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Nothing leaves this machine: a name from outside is not even looked up, and its failure shows as a problem.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_LOCAL = re.compile(r"(file:|data:|blob:|about:|http://(127\.0\.0\.1|localhost|\[::1\])[:/])")

# Texts whose colour is too near to the nearest background behind them that is opaque; layers in between are laid over it.
_FAINT = """(ratio) => {
    const parse = (colour) => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
    const over = ([r, g, b, a], base) => [r, g, b].map((value, i) => a * value + (1 - a) * base[i]).concat(1);
    const light = (colour) => colour.slice(0, 3)
        .map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
    const background = (element) => {
        if (!element) return parse(getComputedStyle(document.documentElement).colorScheme.includes("dark")
            && matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18, 18, 18)" : "rgb(255, 255, 255)");
        const own = parse(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own : over(own, background(element.parentElement));
    };
    const faint = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        const box = element.getBoundingClientRect();
        if (!text || box.width < 2 || box.height < 2 || !element.checkVisibility({ opacityProperty: true })) continue;
        const base = background(element);
        const style = getComputedStyle(element);
        const drawn = element instanceof SVGElement ? style.fill : style.color;
        const both = [light(over(parse(drawn), base)), light(base)].sort((a, b) => b - a);
        const found = (both[0] + 0.05) / (both[1] + 0.05);
        if (found < ratio) faint.add(`${found.toFixed(2)} ${drawn} on ${base.slice(0, 3)}: ${text.slice(0, 40)}`);
    }
    return [...faint];
}"""


def find_chromium() -> str | None:
    """Return the program that the variable CHROMIUM names, or the first on the path."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM"), *_NAMES) if name)
    return next((path for path in found if path), None)


def why_left_out() -> str | None:
    """Return why no page can be opened here and what to do about it; None where one can."""
    if importlib.util.find_spec("playwright") is None:
        return "no playwright to drive a browser: pip install playwright"
    if find_chromium() is None:
        return "no Chromium on the path: sudo apt-get install chromium, or set CHROMIUM to the program"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, for `pytest -m browser`, and leave it out where there is none."""
    reason = why_left_out()
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
            if reason is not None:
                name = getattr(item, "originalname", item.name)
                item.add_marker(pytest.mark.skip(reason=f"{name} left out, {reason}"))


@dataclass
class OpenedPage:
    """A page, what it asked for, and what went wrong on it: console warnings and errors, exceptions, requests.

    Args:
        page: playwright's page, with everything it can do.
        folder: where screenshots go.
        requests: the addresses that were asked for.
        problems: what nobody should see; a test that provokes some looks at them and clears the list.
    """

    page: Any
    folder: Path
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to collect."""
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("console", self._said)

    def wait_for_count(self, selector: str, count: int) -> None:
        """Wait until so many elements are there; unlike `wait_for_function`, on a page that forbids eval too."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_count(count, timeout=20_000)

    def assert_fits(self) -> None:
        """Fail where the page is wider than the window, so that a phone would have to scroll sideways."""
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= window, f"the page is {wide} px wide in a window of {window} px"

    def assert_readable(self, ratio: float = 4.5) -> None:
        """Fail where visible text stands out from its background by less than `ratio`, as WCAG 2 counts contrast."""
        faint = self.page.evaluate(_FAINT, ratio)
        assert not faint, "\n".join(["text of too little contrast:", *faint])

    def screenshot(self, name: str, *, full_page: bool = True, docs: bool = False, part: Any = None) -> Path:
        """Save a picture `name`.png of the page, or of the locator `part`; with `docs` and SCREENSHOTS=1, for the docs too."""
        path = self.folder / f"{name}.png"
        if part is None:
            data = self.page.screenshot(animations="disabled", full_page=full_page)
        else:  # with some ground at its sides, so that no text ends at the edge of the picture
            part.evaluate("(one) => { one.style.marginInline = '-24px'; one.style.paddingInline = '24px'; }")
            data = part.screenshot(animations="disabled")
        path.write_bytes(data)
        if docs and os.environ.get("SCREENSHOTS") == "1":
            image = Image.open(io.BytesIO(data)).convert("RGB")
            image.quantize(256, dither=Image.Dither.NONE).save(ASSETS / path.name, optimize=True)
        return path

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        if not _LOCAL.match(url):
            self.problems.append(f"left this machine: {url}")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text} ({message.location.get('url')})")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium with a profile of its own, which goes with it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., OpenedPage]]:
    """Return open_page(address, scheme="light", width=1280, **options of a browser context) → OpenedPage.

    An address is a URL or the path of a file. When the test ends, no page may have a problem left.
    """
    contexts, opened = [], []

    def open_page(address: str | Path, scheme: str = "light", width: int = 1280, **options: Any) -> OpenedPage:
        size = {"width": width, "height": 844 if width < 600 else 800}
        context = chromium.new_context(**{"color_scheme": scheme, "viewport": size, "locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(20_000)
        watched = OpenedPage(context.new_page(), tmp_path)
        opened.append(watched)
        watched.watch()
        watched.page.goto(address.resolve().as_uri() if isinstance(address, Path) else address)
        return watched

    yield open_page
    for context in contexts:
        context.close()
    problems = [problem for watched in opened for problem in watched.problems]
    assert not problems, "\n".join(["problems on the page:", *problems])
