"""The bar of the look at all images comes and goes."""

from __future__ import annotations

import io

import rich
from rich.console import Console

from topk_lightning.cli._progress import LookBar


def test_the_bar_is_gone_when_the_look_is_over(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    bar = LookBar()
    for done in (1, 2, 3):
        bar(done, 3)
    text = console.file.getvalue()
    assert "Looking at the images" in text
    assert text.rstrip().endswith("\x1b[2K")  # the line is erased
    bar(3, 3)  # a second look starts anew
