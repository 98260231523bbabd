"""Hooks of MkDocs: pages that are written from other files, so that each text has one home.

The first page is the README, the changelog is CHANGELOG.md, the reference is what each package exports, and the page of errors is every sentence that the package raises. Notebooks
are pages with their outputs. Tables of words know their headings, so that a phone can show a row as lines. Formulas stand as LaTeX
between dollars, as on code forges, and become MathML; a picture ``x.png`` with a twin ``x_dark.png`` follows the scheme.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import tomllib
from latex2mathml.converter import convert
from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
import error_sentences
import notebook_pages
import project_version
import reference_pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_IN_CODE = re.compile(r"(```.*?^```|`[^`\n]+`|<!--.*?-->)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^\$\$\s*(\S.*?)\s*\$\$$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s#]+)\.(png|svg)\)(\{[^}\n]*\})?")
_PICTURE_ELEMENT = re.compile(r"<picture>.*?<img ([^>]*?)src=\"([^\"]+)\.png\"[^>]*>.*?</picture>", re.DOTALL)
_PRE = re.compile(r"(<pre.*?</pre>)", re.DOTALL)
_CODE = re.compile(r"(<code[^>]*>)([^<]+)(</code>)")
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_HEADING = re.compile(r">topk_lightning\.[\w.]+<")
_TAG = re.compile(r"<[^>]+>")
_INLINE = re.compile(r"(?<![\\$\w])\$(?! )([^$\n]+?)(?<! )\$(?![$\w])")


def on_config(config: Any) -> Any:
    """Complete the menu by the pages of losses, callbacks and packages, and name the version."""
    config["copyright"] = f"topk-lightning {project_version.version()}"
    _complete(config["nav"])
    return config


def _complete(entries: list[Any]) -> None:
    for place, entry in enumerate(entries):
        if isinstance(entry, dict):
            for pages in entry.values():
                if isinstance(pages, list):
                    _complete(pages)
        elif entry in ("losses/index.md", "callbacks/index.md"):
            folder = entry.partition("/")[0]
            cards = sorted(path.name for path in (DOCS / folder).glob("*.md") if path.name != "index.md")
            entries[place + 1 : place + 1] = [f"{folder}/{name}" for name in cards]
        elif entry == "reference/index.md":
            entries[place + 1 : place + 1] = [
                f"reference/{name.replace('.', '_')}.md" for name in reference_pages.packages()
            ]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are written from other files."""
    pages: dict[str, str | bytes] = {
        "index.md": first_page((ROOT / "README.md").read_text(encoding="utf-8")),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "reference/index.md": reference_pages.index(),
        "reference/errors.md": error_sentences.page(ROOT / "topk_lightning"),
    }
    pages |= {
        f"reference/{name.replace('.', '_')}.md": reference_pages.page(name) for name in reference_pages.packages()
    }
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{path.stem}.md"], pictures = notebook_pages.notebook_page(path)
        pages |= {f"notebooks/{name}": data for name, data in pictures.items()}
    for address, content in pages.items():
        files.append(File.generated(config, address, content=content))
    return files


def on_page_markdown(markdown: str, page: Any = None, **_: Any) -> str:
    """Draw the formulas of a page, and show a picture that has a dark twin in the scheme's form."""
    folder = (DOCS / page.file.src_uri).parent if page else DOCS
    markdown = _PICTURE.sub(lambda match: _twins(match, folder), _PICTURE_ELEMENT.sub(_one_a_scheme, markdown))
    blocks = _BLOCK.sub(lambda match: f'<div class="formula">{_draw(match[1], "block")}</div>', markdown)
    parts = _IN_CODE.split(blocks)
    parts[::2] = [_INLINE.sub(lambda match: _draw(match[1], "inline"), text) for text in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, **_: Any) -> str:
    """Keep the words of code whole in a line, break long names after dots, and give cells of words their headings."""
    parts = _PRE.split(html)
    parts[::2] = [_CODE.sub(_whole_words, _TABLE.sub(_with_labels, text)) for text in parts[::2]]
    parts[::2] = [_HEADING.sub(lambda heading: heading[0].replace(".", ".<wbr>"), text) for text in parts[::2]]
    return "".join(parts)


def _whole_words(code: re.Match[str]) -> str:
    """Return code in which no word is broken at its hyphens."""
    return code[1] + re.sub(r"[^\s<>]*-[^\s<>]{1,40}", r'<span class="whole">\g<0></span>', code[2]) + code[3]


def _with_labels(table: re.Match[str]) -> str:
    text = table[0]
    headings = [_TAG.sub("", heading).strip() for heading in re.findall(r"<th[^>]*>(.*?)</th>", text, re.DOTALL)]
    if len(headings) < 3 or 'style="text-align: right;"' in text:
        return text

    def labelled(row: re.Match[str]) -> str:
        labels = iter(headings)
        return re.sub("<td", lambda _: f'<td data-label="{next(labels, "")}"'.replace("&quot;", ""), row[0])

    return re.sub(r"<tr>.*?</tr>", labelled, text.replace("<table", "<table data-rows", 1), flags=re.DOTALL)


def _dark(path: str) -> str:
    return path.replace("_light_", "_dark_") if "_light_" in path else f"{path}_dark"


def _twins(match: re.Match[str], folder: Path) -> str:
    text, path, ending, attributes = match[1], match[2], match[3], match[4] or ""
    if path.startswith("http") or not (folder / f"{_dark(path)}.{ending}").exists():
        return match[0]
    light, dark = f"{path}.{ending}#only-light", f"{_dark(path)}.{ending}#only-dark"
    return f"![{text}]({light}){attributes}\n![{text}]({dark}){attributes}"


def _one_a_scheme(match: re.Match[str]) -> str:
    attributes, path = match[1], match[2]
    light, dark = f"{path}.png#only-light", f"{_dark(path)}.png#only-dark"
    return f'<img {attributes}src="{light}"><img {attributes}src="{dark}">'


def _draw(formula: str, display: str) -> str:
    drawn = convert(" ".join(formula.split()), display=display)
    # A line that begins with <math> would be a block of its own for Markdown, and end the paragraph.
    return drawn if display == "block" else f'<span class="in-line">{drawn}</span>'


def first_page(readme: str) -> str:
    """Return the README as the first page of the site: what it links to in docs/ is beside it."""
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", readme.replace(".ipynb)", ".md)"))
    text = re.sub(r'(src|srcset)="docs/', r'\1="', text)
    text = re.sub(
        r"\]\((?!https?:|[\w/]+\.md|assets/|#)([^)]+)\)", rf"]({PROJECT['urls']['Repository']}/tree/main/\1)", text
    )
    return text.replace("](CHANGELOG.md)", "](changelog.md)")
