"""Build the emoji sheet: draw the emoji of several vendors and write one image, its index and a NOTICE.

Run it as a program. The npm client fetches what the source folder lacks; resvg-py draws::

    python examples/emoji_sheet/build_emoji_sheet.py --source packages --out sheet/emoji_sheet.webp

Without further options this is the embedded sheet, byte for byte where Pillow's libwebp is the same: every emoji that
all seven embedded vendors drew under one name. ``--size`` draws larger, ``--min-drawings`` takes emoji that fewer
drew, ``--unicode-names`` also matches drawings named after the Unicode character, ``--vendors`` chooses the sets.
"""

from __future__ import annotations

import argparse
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from emoji_packages import NAMES, VENDORS, Drawings, Emoji, fetch, read_emoji
from numpy.typing import NDArray
from PIL import Image

__all__ = ["EMBEDDED_VENDORS", "build", "main"]

EMBEDDED_VENDORS = ("noto", "noto-v1", "fxemoji", "fluent-emoji", "fluent-emoji-flat", "twemoji", "emojione")

_WEBP_MAX_SIDE = 16383


def build(
    source: Path,
    out: Path,
    *,
    size: int = 64,
    bits: int = 7,
    vendors: Sequence[str] = EMBEDDED_VENDORS,
    min_drawings: int | None = None,
    unicode_names: bool = False,
    limit: int | None = None,
) -> int:
    """Write the sheet `out` (.webp or .png, lossless), its index (.json) and NOTICE; return the number of classes.

    Args:
        source: folder with the npm packages, as tarballs.
        out: the image to write.
        size: side of a drawing in pixels.
        bits: bits kept of each colour, 1 to 8; 7 changes no value by more than 1 of 255 and saves a seventh.
        vendors: whose drawings to take.
        min_drawings: take emoji that at least so many of the vendors drew; None: all of them.
        unicode_names: also find a drawing by the Unicode name of the character, which older sets go by.
        limit: only the first so many classes, for a quick look.

    Raises:
        FileNotFoundError: a package that `source` lacks.
        ValueError: a sheet larger than the format can hold, or no emoji with enough drawings.
    """
    drawings = {vendor: Drawings(source, vendor) for vendor in vendors}
    needed = len(vendors) if min_drawings is None else min_drawings
    classes: list[Emoji] = []
    keys: list[dict[str, str]] = []
    for emoji in read_emoji(source):
        names = [emoji.name, emoji.unicode_name] if unicode_names and emoji.unicode_name else [emoji.name]
        found = {vendor: key for vendor in vendors if (key := drawings[vendor].find(names)) is not None}
        if len(found) >= needed:
            classes.append(emoji)
            keys.append(found)
    classes, keys = classes[:limit], keys[:limit]
    if not classes:
        raise ValueError(f"min_drawings must leave at least one emoji, got none with {needed} drawings.")

    # Vendor by vendor: neighbours in one style compress better than neighbours of one class.
    drawn_by = {vendor: [index for index, found in enumerate(keys) if vendor in found] for vendor in vendors}
    columns = math.ceil(math.sqrt(sum(map(len, drawn_by.values()))))
    _check_sheet(columns * size, out)
    tiles = [_draw(drawings[vendor], keys[index][vendor], size) for vendor in vendors for index in drawn_by[vendor]]
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(_arrange(_keep_bits(np.stack(tiles), bits), columns))
    sheet.save(out, **({"optimize": True} if out.suffix == ".png" else {"lossless": True, "quality": 100, "method": 6}))
    index = {
        "size": size,
        "columns": columns,
        "classes": [asdict(emoji) for emoji in classes],
        "drawn_by": [[vendor, drawn_by[vendor]] for vendor in vendors],
        "packages": {vendor: asdict(VENDORS[vendor]) for vendor in vendors},
    }
    text = json.dumps(index, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    out.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    (out.parent / "NOTICE").write_text(_notice(vendors, out.name, size, bits), encoding="utf-8")
    return len(classes)


def _check_sheet(side: int, out: Path) -> None:
    """Refuse a format other than WebP and PNG, and a WebP sheet that is wider than the format allows."""
    if out.suffix not in (".webp", ".png"):
        raise ValueError(f"out must end in .webp or .png, got {out.name}.")
    if out.suffix == ".webp" and side > _WEBP_MAX_SIDE:
        raise ValueError(
            f"out must be a .png for a sheet wider than {_WEBP_MAX_SIDE} pixels, got {out.name} of {side} pixels."
        )


def _draw(drawings: Drawings, key: str, size: int) -> NDArray[np.uint8]:
    """Return one drawing on white, its longer side `size` pixels, centred."""
    try:
        import resvg_py
    except ModuleNotFoundError:
        sentence = "resvg-py must be installed to draw emoji, got no such package. Run pip install resvg-py."
        raise ModuleNotFoundError(sentence, name="resvg_py") from None
    svg, width, height = drawings.svg(key)
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        background="#ffffff",
        skip_system_fonts=True,
        width=size if width >= height else None,
        height=size if height > width else None,
    )
    image = Image.open(io.BytesIO(bytes(png))).convert("RGB")
    tile = Image.new("RGB", (size, size), "white")
    tile.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return np.asarray(tile)


def _keep_bits(tiles: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Round each value to `bits` bits, black and white staying what they are."""
    top = 2**bits - 1
    rounded: NDArray[np.uint8] = np.rint(np.rint(np.arange(256) * (top / 255)) * (255 / top)).astype(np.uint8)
    return rounded[tiles]


def _arrange(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay tiles (T, S, S, 3) out in rows of `columns`, the rest of the last row white."""
    size = tiles.shape[1]
    missing = -len(tiles) % columns
    tiles = np.concatenate([tiles, np.full((missing, size, size, 3), 255, np.uint8)])
    rows = tiles.reshape(-1, columns, size, size, 3).swapaxes(1, 2)
    sheet: NDArray[np.uint8] = rows.reshape(-1, columns * size, 3)
    return sheet


def _notice(vendors: Sequence[str], sheet: str, size: int, bits: int) -> str:
    lines = [
        f"{sheet} holds drawings of the following sets. They were rendered from SVG on white at {size}x{size} pixels,",
        f"rounded to {bits} bits a colour and laid out in one image; nothing else was changed.",
        "",
    ]
    for package in [*(VENDORS[vendor] for vendor in vendors), NAMES]:
        lines += [
            f"{package.title}, (c) {package.author}",
            f"  license: {package.license}",
            f"  source:  {package.url}",
            f"  package: {package.package} {package.version}",
            "",
        ]
    licenses = {VENDORS[vendor].license for vendor in vendors} | {NAMES.license}
    texts = {
        "Apache-2.0": "Apache-2.0:   https://www.apache.org/licenses/LICENSE-2.0",
        "CC-BY-4.0": "CC-BY-4.0:    https://creativecommons.org/licenses/by/4.0/legalcode",
        "CC-BY-SA-4.0": "CC-BY-SA-4.0: https://creativecommons.org/licenses/by-sa/4.0/legalcode",
        "MIT": "MIT:\n" + _MIT,
    }
    return "\n".join(lines + [texts[name] for name in sorted(licenses)]).rstrip() + "\n"


_MIT = """\
  Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
  documentation files (the "Software"), to deal in the Software without restriction, including without limitation
  the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
  to permit persons to whom the Software is furnished to do so, subject to the following conditions:

  The above copyright notice and this permission notice shall be included in all copies or substantial portions of
  the Software.

  THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
  THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
  AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
  CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS
  IN THE SOFTWARE.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, fetch the packages and build the sheet."""
    parser = argparse.ArgumentParser(prog="python -m topk_lightning.data.build_emoji_sheet", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--source", type=Path, required=True, help="folder of the npm packages (tarballs)")
    parser.add_argument("--out", type=Path, required=True, help="sheet to write, .webp or .png")
    parser.add_argument("--size", type=int, default=64, help="side of a drawing in pixels (default: 64)")
    parser.add_argument("--bits", type=int, default=7, help="bits kept of each colour, 8 is lossless (default: 7)")
    parser.add_argument("--vendors", nargs="+", default=list(EMBEDDED_VENDORS), choices=list(VENDORS))
    parser.add_argument("--min-drawings", type=int, help="drawings an emoji needs (default: one of each vendor)")
    parser.add_argument("--unicode-names", action="store_true", help="match Unicode character names as well")
    parser.add_argument("--limit", type=int, help="only the first so many classes")
    options = vars(parser.parse_args(arguments))
    source = options.pop("source")
    fetch([*(VENDORS[vendor] for vendor in options["vendors"]), NAMES], source)
    build(source, options.pop("out"), **options)


if __name__ == "__main__":
    main()
