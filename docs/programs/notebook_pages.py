"""Notebooks as pages of the site: cells as code, what they printed and drew below, as the file keeps it."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from pathlib import Path
from typing import Any

_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and the pictures that it drew by their file names."""
    pictures: dict[str, bytes] = {}
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        printed = "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")
        shown = [output["data"] for output in cell["outputs"] if "data" in output]
        parts += [_output(data, path.stem, pictures) for data in [{"text/plain": printed}, *shown]]
    parts.append(f"[The notebook]({path.name}) to download and run.")
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def _output(data: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    if "image/png" in data:
        name = f"{stem}_{len(pictures)}.png"
        pictures[name] = base64.b64decode("".join(data["image/png"]))
        return f"![What the cell above drew]({name})"
    if "text/html" in data:
        html = re.sub(r"\n\s*\n", "\n", "".join(data["text/html"]))
        return f'<div class="output">\n{html}\n</div>'
    lines = _TERMINAL.sub("", "".join(data["text/plain"])).splitlines()
    text = "\n".join(
        textwrap.fill(line, 96, subsequent_indent="  ", drop_whitespace=False) for line in lines if line.strip()
    )
    return f"```text\n{text}\n```" if text.strip() else ""
