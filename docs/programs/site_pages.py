"""Hooks of MkDocs: pages that are written from other files, so that each text has one home.

The first page is the README, the changelog is CHANGELOG.md, the reference is what each package exports (a name whose
``:::`` stands on a page of docs/ is a link to it), and the page of errors is every sentence that the package raises. Notebooks
are pages with their outputs. Tables of words know their headings, so that a phone can show a row as lines. Formulas stand as LaTeX between dollars, as on code forges, and become MathML; a picture
``x.png`` with a twin ``x_dark.png`` follows the scheme.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import tomllib
from latex2mathml.converter import convert
from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
import error_sentences
import notebook_pages
import project_version

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = {
    "ranking": "Order rule",
    "feature_ranks": "Ranks from features",
    "metrics": "Metrics and class report",
    "temperature_scaler": "Temperature scaling",
    "losses": "Losses",
    "linear_topk_loss": "Losses of a head of many classes",
    "relaxations": "Relaxations",
    "schedules": "Schedules",
    "hierarchy": "Hierarchies",
    "scores": "Stored scores",
    "decisions": "Decisions",
    "networks": "Networks",
    "data": "Data modules",
    "classifier": "Classifier",
    "prediction": "Predictions",
    "callbacks": "Callbacks",
    "findings": "Findings",
    "report": "Reports",
    "export": "Export",
    "serving": "Server",
    "integrations.fastai": "fastai classes",
    "integrations.transformers": "Hugging Face Trainer",
}
"""Packages of the reference in reading order, with the titles of their pages."""

_IN_CODE = re.compile(r"(```.*?^```|`[^`\n]+`|<!--.*?-->)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s#]+)\.(png|svg)\)(\{[^}\n]*\})?")
_PICTURE_ELEMENT = re.compile(r"<picture>.*?<img ([^>]*?)src=\"([^\"]+)\.png\"[^>]*>.*?</picture>", re.DOTALL)
_PRE = re.compile(r"(<pre.*?</pre>)", re.DOTALL)
_CODE = re.compile(r"(<code[^>]*>)([^<]+)(</code>)")
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
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
            entries[place + 1 : place + 1] = [f"reference/{name.replace('.', '_')}.md" for name in _packages()]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are written from other files."""
    pages: dict[str, str | bytes] = {
        "index.md": first_page((ROOT / "README.md").read_text(encoding="utf-8")),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "reference/index.md": reference_index(),
        "reference/errors.md": error_sentences.page(ROOT / "topk_lightning"),
    }
    pages |= {f"reference/{name.replace('.', '_')}.md": reference_page(name) for name in _packages()}
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
    """Keep the words of code whole in a line, and give the cells of tables without numbers their headings."""
    parts = _PRE.split(html)
    parts[::2] = [_CODE.sub(_whole_words, _TABLE.sub(_with_labels, text)) for text in parts[::2]]
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


@cache
def _packages() -> dict[str, list[str]]:
    """The public names of each package that there is."""
    names = {}
    for name in PACKAGES:
        if (ROOT / "topk_lightning" / name.replace(".", "/")).with_suffix(".py").exists() or (
            ROOT / "topk_lightning" / name.replace(".", "/")
        ).is_dir():
            names[name] = sorted(importlib.import_module(f"topk_lightning.{name}").__all__, key=str.lower)
    return names


@cache
def _homes() -> dict[str, str]:
    """Last part of a name → the page of docs/ on which its ``:::`` stands."""
    homes = {}
    for page in DOCS.rglob("*.md"):
        for path in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            homes[path.rpartition(".")[2] if ".fastai." not in path else path] = page.relative_to(DOCS).as_posix()
    return homes


def _home(package: str, name: str) -> str | None:
    return _homes().get(f"topk_lightning.{package}.{name}" if "fastai" in package else name)


def reference_page(package: str) -> str:
    """Return the page of one package: a table of its names, then each that has no other home."""
    rows, objects = [], []
    module = importlib.import_module(f"topk_lightning.{package}")
    for name in _packages()[package]:
        home = _home(package, name)
        sentence = (inspect.getdoc(getattr(module, name)) or "").partition("\n\n")[0]
        if not callable(getattr(module, name)):
            rows.append(f"| `{name}` | |")
            continue
        path = f"topk_lightning.{package}.{name}"
        address = f"../{home}#{_anchor(home, name)}" if home else f"#{path}"
        rows.append(f"| [`{name}`]({address}) | {_one_line(sentence)} |")
        objects += [] if home else [f"::: {path}"]
    listed = "\n".join(["| name | what it is |", "|---|---|", *rows])
    return "\n\n".join([f"# {PACKAGES[package]}", f"`topk_lightning.{package}`", listed, *objects]) + "\n"


def _anchor(page: str, name: str) -> str:
    paths = re.findall(rf"^::: ([\w.]*\b{name})$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return str(paths[0])


def _one_line(sentence: str) -> str:
    sentence = re.sub(
        r":(?:class|func|meth|attr|mod|math):`~?(?:[\w.]*\.)?([^`]+)`", r"`\1`", " ".join(sentence.split())
    )
    return sentence.replace("|", "\\|").replace("``", "`")


def reference_index() -> str:
    """Return the first page of the reference."""
    rows = [
        f"| [{PACKAGES[package]}]({package.replace('.', '_')}.md) | {', '.join(f'`{name}`' for name in names)} |"
        for package, names in _packages().items()
    ]
    return "\n".join(
        [
            "# Reference",
            "",
            "Every public name. The most used are imported from `topk_lightning`, for `lightning.pytorch` from",
            "`topk_lightning.lightning`; every function of a tensor also from `topk_lightning.functional`.",
            "",
            "| package | names |",
            "|---|---|",
            *rows,
            "",
            "[All error sentences](errors.md) · [Command line](../command_line.md) · [Changelog](../changelog.md)",
        ]
    )
