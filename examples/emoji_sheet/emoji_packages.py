"""Read the npm packages behind the emoji sheet: vendors' drawings as SVG, standard names and categories."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "VENDORS", "Drawings", "Emoji", "Package", "fetch", "read_emoji"]


@dataclass(frozen=True)
class Package:
    """One npm package in the version the sheet was built from."""

    package: str
    version: str
    title: str
    author: str
    license: str
    url: str

    @property
    def tarball(self) -> str:
        """The file name that `npm pack` gives it."""
        return f"{self.package.lstrip('@').replace('/', '-')}-{self.version}.tgz"


_NOTO = "https://github.com/googlefonts/noto-emoji"
_FLUENT = "https://github.com/microsoft/fluentui-emoji"

# The first seven make the embedded sheet. The last two are share-alike, so they are for sheets of your own only.
VENDORS = {
    "noto": Package("@iconify-json/noto", "1.2.9", "Noto Emoji", "Google Inc", "Apache-2.0", _NOTO),
    "noto-v1": Package("@iconify-json/noto-v1", "1.2.5", "Noto Emoji (v1)", "Google Inc", "Apache-2.0", _NOTO),
    "fxemoji": Package(
        "@iconify-json/fxemoji",
        "1.2.2",
        "Firefox OS Emoji",
        "Mozilla",
        "Apache-2.0",
        "https://github.com/mozilla/fxemoji",
    ),
    "fluent-emoji": Package(
        "@iconify-json/fluent-emoji", "1.2.7", "Fluent Emoji", "Microsoft Corporation", "MIT", _FLUENT
    ),
    "fluent-emoji-flat": Package(
        "@iconify-json/fluent-emoji-flat", "1.2.6", "Fluent Emoji Flat", "Microsoft Corporation", "MIT", _FLUENT
    ),
    "twemoji": Package(
        "@iconify-json/twemoji",
        "1.2.5",
        "Twemoji",
        "Twitter, Inc and other contributors",
        "CC-BY-4.0",
        "https://github.com/jdecked/twemoji",
    ),
    "emojione": Package(
        "@iconify-json/emojione",
        "1.2.3",
        "EmojiOne 2.3 (Emojitwo)",
        "Emoji One",
        "CC-BY-4.0",
        "https://github.com/EmojiTwo/emojitwo",
    ),
    "openmoji": Package(
        "@iconify-json/openmoji",
        "1.2.29",
        "OpenMoji",
        "OpenMoji",
        "CC-BY-SA-4.0",
        "https://github.com/hfg-gmuend/openmoji",
    ),
    "emojione-v1": Package(
        "@iconify-json/emojione-v1",
        "1.2.3",
        "EmojiOne 1 (Emojitwo)",
        "Emoji One",
        "CC-BY-SA-4.0",
        "https://github.com/joypixels/emojione-legacy",
    ),
}

NAMES = Package(
    "emojibase-data",
    "17.0.0",
    "Emojibase data (Unicode names, categories and subcategories)",
    "Miles Johnson; Unicode, Inc.",
    "MIT",
    "https://github.com/milesj/emojibase",
)

_COMPONENTS = 2  # skin tones and hair, which are no emoji by themselves


@dataclass(frozen=True)
class Emoji:
    """One emoji: its short name, its Unicode character name, and where it stands among the others."""

    name: str
    unicode_name: str
    codepoints: str
    category: str
    subcategory: str


def fetch(packages: list[Package], source: Path) -> None:
    """Have the npm client put every package that `source` lacks there, as a tarball."""
    source.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not (source / package.tarball).exists():
            command = ["npm", "pack", "--silent", f"{package.package}@{package.version}"]
            subprocess.run(command, cwd=source, check=True, capture_output=True)


def read_emoji(source: Path) -> list[Emoji]:
    """Return every emoji of the Unicode standard without its skin tones, in the standard's order."""
    entries = _read(source, NAMES, "en/data.json")
    messages = _read(source, NAMES, "en/messages.json")
    unicode_names = _read(source, NAMES, "meta/unicode-names.json")
    categories = {entry["order"]: _title(entry["message"]) for entry in messages["groups"]}
    subcategories = {entry["order"]: entry["key"] for entry in messages["subgroups"]}
    return [
        Emoji(
            name=entry["label"].replace("’", "'"),
            unicode_name=unicode_names.get(entry["hexcode"].removesuffix("-FE0F"), ""),
            codepoints=entry["hexcode"],
            category=categories[entry["group"]],
            subcategory=subcategories[entry["subgroup"]],
        )
        for entry in sorted(
            (e for e in entries if e.get("group", _COMPONENTS) != _COMPONENTS), key=lambda e: e["order"]
        )
    ]


class Drawings:
    """The drawings of one vendor, found by name."""

    def __init__(self, source: Path, vendor: str) -> None:
        if vendor not in VENDORS:
            raise ValueError(f"vendor must be one of {', '.join(map(repr, VENDORS))}, got {vendor!r}.")
        self._set = _read(source, VENDORS[vendor], "icons.json")
        self._keys: dict[str, str] = {}
        for key in (*self._set["icons"], *self._set.get("aliases", {})):
            self._keys.setdefault(_letters(key), key)

    def find(self, names: Iterator[str] | list[str]) -> str | None:
        """Return the key of the first of `names` that the vendor drew; case and punctuation do not count."""
        return next((self._keys[_letters(name)] for name in names if _letters(name) in self._keys), None)

    def svg(self, key: str) -> tuple[str, float, float]:
        """Return a drawing as SVG text, with its width and height."""
        icon: dict[str, Any] = {}
        while key in self._set.get("aliases", {}):
            alias = self._set["aliases"][key]
            icon = {**alias, **icon}
            key = alias["parent"]
        icon = {**self._set["icons"][key], **icon}
        left, top = icon.get("left", 0), icon.get("top", 0)
        width = icon.get("width", self._set.get("width", 16))
        height = icon.get("height", self._set.get("height", 16))
        body = icon["body"]
        if icon.get("hFlip"):
            body = f'<g transform="translate({2 * left + width} 0) scale(-1 1)">{body}</g>'
        head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        box = f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}"'
        return f"<svg {head} {box}>{body}</svg>", width, height


def _read(source: Path, package: Package, name: str) -> Any:
    path = source / package.tarball
    if not path.is_file():
        raise FileNotFoundError(
            f"source must hold {path.name}, got no such file in {path.parent}. "
            f"npm pack {package.package}@{package.version} fetches it."
        )
    with tarfile.open(path) as archive:
        member = archive.extractfile(f"package/{name}")
        assert member is not None  # noqa: S101 (for the type checker: a missing member is a KeyError)
        return json.load(member)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _title(name: str) -> str:
    return name[0].upper() + re.sub(r"& (\w)", lambda match: "& " + match[1].upper(), name[1:])
