"""The script that builds the sheet, on small packages laid out as the npm client leaves them."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from topk_lightning.data import EMBEDDED_SHEET, EmojiDataModule, load_sheet, read_index

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "emoji_sheet"))  # as the program finds its other half

from build_emoji_sheet import EMBEDDED_VENDORS, build, main
from emoji_packages import NAMES, VENDORS, fetch

pytest.importorskip("resvg_py")


def disc(colour, radius=7):
    return {"body": f'<circle cx="8" cy="8" r="{radius}" fill="{colour}"/>'}


def half(colour):
    return {"body": f'<path d="M0 0h8v16H0z" fill="{colour}"/>'}


# Twice as wide as high.
WIDE = {"body": '<path d="M0 0h32v16H0z" fill="#0f0"/>', "width": 32}


def pack(folder, package, files):
    with tarfile.open(folder / package.tarball, "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "packages"
    folder.mkdir()
    entries = [
        {"label": "red disc", "hexcode": "1F534", "order": 3, "group": 8, "subgroup": 95},
        {"label": "left half", "hexcode": "1F313", "order": 1, "group": 5, "subgroup": 58},
        {"label": "right half", "hexcode": "1F317", "order": 2, "group": 5, "subgroup": 58},
        {"label": "woman’s hat", "hexcode": "1F452-FE0F", "order": 4, "group": 8, "subgroup": 95},
        {"label": "skin tone", "hexcode": "1F3FB", "order": 5, "group": 2, "subgroup": 32},
    ]
    messages = {
        "groups": [
            {"key": "travel-places", "message": "travel & places", "order": 5},
            {"key": "symbols", "message": "symbols", "order": 8},
        ],
        "subgroups": [{"key": "sky-weather", "order": 58}, {"key": "geometric", "order": 95}],
    }
    unicode_names = {"1F534": "LARGE RED DISC", "1F452": "BROAD HAT"}
    pack(
        folder,
        NAMES,
        {"en/data.json": entries, "en/messages.json": messages, "meta/unicode-names.json": unicode_names},
    )
    # The mirror image of a drawing is an alias.
    mirrored = {"right-half": {"parent": "left-half", "hFlip": True}}
    first = {"icons": {"red-disc": disc("#f00"), "left-half": half("#00f"), "womans-hat": WIDE}, "aliases": mirrored}
    second = {
        "icons": {"reddisc": disc("#f01"), "left-half": half("#00e"), "right-half": half("#00d"), "broad-hat": WIDE}
    }
    pack(folder, VENDORS["noto"], {"icons.json": {"width": 16, "height": 16, **first}})
    pack(folder, VENDORS["emojione"], {"icons.json": {"width": 16, "height": 16, "icons": {"red-disc": disc("#e00")}}})
    pack(folder, VENDORS["twemoji"], {"icons.json": {"width": 16, "height": 16, **second}})
    return folder


TWO = ("noto", "twemoji")


def test_the_same_packages_give_the_same_bytes(source, tmp_path):
    for name in ("one", "two"):
        build(source, tmp_path / name / "sheet.webp", vendors=TWO)
    for file in ("sheet.webp", "sheet.json", "NOTICE"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_emoji_that_all_drew_come_in_the_standards_order(source, tmp_path):
    assert build(source, tmp_path / "sheet.webp", vendors=TWO, size=16) == 3
    index = read_index(tmp_path / "sheet.webp")
    assert [entry["name"] for entry in index["classes"]] == ["left half", "right half", "red disc"]
    assert [(e["category"], e["subcategory"]) for e in index["classes"]] == [
        ("Travel & Places", "sky-weather"),
        ("Travel & Places", "sky-weather"),
        ("Symbols", "geometric"),
    ]
    assert index["drawn_by"] == [["noto", [0, 1, 2]], ["twemoji", [0, 1, 2]]]


def test_drawings_are_centred_on_white_and_mirrored_where_the_set_says_so(source, tmp_path):
    build(source, tmp_path / "sheet.png", vendors=TWO, size=16, bits=8, min_drawings=1)
    sheet, index = load_sheet(tmp_path / "sheet.png"), read_index(tmp_path / "sheet.png")
    names = [entry["name"] for entry in index["classes"]]
    tile = {
        (names[c], v): sheet.tiles[n] for n, (c, v) in enumerate(zip(sheet.class_indices, sheet.vendors, strict=True))
    }
    blue, white = [0, 0, 255], [255, 255, 255]
    assert tile["left half", "noto"][:, 8, [2, 13]].T.tolist() == [blue, white]
    assert tile["right half", "noto"][:, 8, [2, 13]].T.tolist() == [white, blue]
    assert tile["red disc", "noto"][:, 8, 8].tolist() == [255, 0, 0]
    assert tile["red disc", "noto"][:, 0, 0].tolist() == white
    assert tile["woman's hat", "noto"][1, [0, 3, 4, 11, 12, 15], 8].tolist() == [255] * 6
    assert tile["woman's hat", "noto"][0, :, 8].tolist() == [255] * 4 + [0] * 8 + [255] * 4


def test_fewer_drawings_and_unicode_names_give_more_classes(source, tmp_path):
    assert build(source, tmp_path / "a.webp", vendors=TWO) == 3
    assert build(source, tmp_path / "b.webp", vendors=TWO, min_drawings=1) == 4
    assert build(source, tmp_path / "c.webp", vendors=TWO, unicode_names=True) == 4
    assert build(source, tmp_path / "d.webp", vendors=TWO, limit=2) == 2


def test_seven_bits_change_no_value_by_more_than_one(source, tmp_path):
    for bits in (7, 8):
        build(source, tmp_path / f"{bits}.webp", vendors=TWO, bits=bits, size=40)
    seven, eight = (np.asarray(Image.open(tmp_path / f"{bits}.webp")).astype(int) for bits in (7, 8))
    assert 0 < np.abs(seven - eight).max() <= 1
    assert len(np.unique(seven)) <= 128


def test_notice_names_the_sets_and_their_licences(source, tmp_path):
    build(source, tmp_path / "sheet.webp", vendors=TWO)
    notice = (tmp_path / "NOTICE").read_text()
    assert "Noto Emoji, (c) Google Inc\n  license: Apache-2.0" in notice
    assert "Twemoji, (c) Twitter, Inc and other contributors\n  license: CC-BY-4.0" in notice
    assert "package: emojibase-data 17.0.0" in notice


def test_the_data_module_reads_a_sheet_of_ones_own(source, tmp_path):
    build(source, tmp_path / "sheet.webp", vendors=(*TWO, "emojione"), size=32, min_drawings=2)
    data = EmojiDataModule(32, sheet=str(tmp_path / "sheet.webp"), val_vendors=["twemoji"])
    assert data.class_names == ["left half", "right half", "red disc"]
    assert data.describe().images == {"train": 3, "val": 3, "test": 1}
    assert data.sample_names("test") == ["red disc (emojione)"]


def test_the_program_builds_what_the_function_builds(source, tmp_path):
    arguments = ["--source", str(source), "--out", str(tmp_path / "a" / "s.webp"), "--vendors", *TWO, "--size", "24"]
    main(arguments)  # nothing to fetch: the packages are there
    build(source, tmp_path / "b" / "s.webp", vendors=TWO, size=24)
    assert (tmp_path / "a" / "s.webp").read_bytes() == (tmp_path / "b" / "s.webp").read_bytes()


def test_packages_that_are_there_are_not_fetched(source, monkeypatch):
    monkeypatch.setenv("PATH", "")
    fetch([VENDORS["noto"], VENDORS["twemoji"], NAMES], source)


def test_the_embedded_sheet_is_the_default_of_the_script():
    index = read_index(EMBEDDED_SHEET)
    assert [vendor for vendor, _ in index["drawn_by"]] == list(EMBEDDED_VENDORS)
    assert {name: package["version"] for name, package in index["packages"].items()} == {
        vendor: VENDORS[vendor].version for vendor in EMBEDDED_VENDORS
    }


@pytest.mark.parametrize(
    ("options", "out", "error", "sentence"),
    [
        ({"vendors": ("apple",)}, "s.webp", ValueError, "vendor must be one of 'noto', "),
        (
            {"vendors": ("noto", "openmoji")},
            "s.webp",
            FileNotFoundError,
            "source must hold iconify-json-openmoji-1.2.29.tgz, got no such file in ",
        ),
        (
            {"min_drawings": 3},
            "s.webp",
            ValueError,
            "min_drawings must leave at least one emoji, got none with 3 drawings.",
        ),
        ({}, "s.jpg", ValueError, "out must end in .webp or .png, got s.jpg."),
        (
            {"size": 8000},
            "s.webp",
            ValueError,
            "out must be a .png for a sheet wider than 16383 pixels, got s.webp of 24000 pixels.",
        ),
    ],
)
def test_errors_say_what_is_wanted(source, tmp_path, options, out, error, sentence):
    with pytest.raises(error) as raised:
        build(source, tmp_path / out, **{"vendors": TWO, **options})
    assert str(raised.value).startswith(sentence)
