"""What a command says, a line each, and the file of JSON that it may write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich

from topk_lightning._checks import must
from topk_lightning._checks.places import check_file_place
from topk_lightning.cli._errors import UsageError

__all__ = ["check_out", "print_line", "write_json"]


def print_line(text: str) -> None:
    """Print a line that is not wrapped, since a path over two lines could not be copied; nothing unseen is sent."""
    from topk_lightning.drawing import visible_text

    rich.get_console().print(visible_text(text), soft_wrap=True, highlight=False, markup=False)


def check_out(path: str | None, suffixes: Sequence[str] = (".json",)) -> None:
    """Raise now, not after minutes, for an ``--out`` that ends otherwise or cannot be written."""
    if path is None:
        return
    if not path.lower().endswith(tuple(suffixes)):
        raise UsageError(must("--out", f"end in {' or '.join(suffixes)}", repr(path)))
    beside = Path(path).with_suffix(".json")  # of a page
    check_file_place("--out", path, [beside.name])
    if beside != Path(path):
        check_file_place("--out", beside)


def write_json(path: str, content: Any, what: str) -> None:
    """Write JSON, whole or not at all, and say where; letters that no text may hold stay readable."""
    from topk_lightning._files import utf8, write_file

    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(path, utf8(text))
    print_line(f"{what}: {path}")
