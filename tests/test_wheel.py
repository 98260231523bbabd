"""The wheel, built and installed into a bare environment, holds what it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SCRIPT = """
import sys, pathlib, torch
import topk_lightning as tk
assert pathlib.Path(tk.__file__).is_relative_to(sys.prefix), tk.__file__
assert pathlib.Path(tk.__file__).with_name("py.typed").exists()
data = tk.EmojiDataModule(batch_size=4, num_workers=0)
data.setup("test")
images, target = next(iter(data.test_dataloader()))
assert images.shape == (4, 3, 64, 64)
print(len(data.class_names))
"""

# Prints what the metadata of the wheel asks for without extras and is not there in that version.
REQUIREMENTS = """
from importlib.metadata import PackageNotFoundError, requires, version
from packaging.requirements import Requirement

asked = [Requirement(line) for line in requires("topk-lightning")]
asked = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
assert asked
for one in asked:
    try:
        if not one.specifier.contains(version(one.name), prereleases=True):
            print(one, "but", version(one.name))
    except PackageNotFoundError:
        print(one, "but none")
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def wheel(dist):
    (path,) = dist.glob("*.whl")
    return path


def test_twine_finds_nothing_wrong(dist):
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout.count("PASSED")) == (0, 2), checked.stdout + checked.stderr


def test_every_link_on_the_page_of_the_package_is_absolute(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        page = archive.read(name).decode()
    prose = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)|(?:src|srcset|href)=\"([^\"]+)", prose)
    links = [markdown or html for markdown, html in links]
    assert len(links) > 10
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    # What they point at in the repository is there.
    version = re.search(r"^Version: (.+)$", page, re.MULTILINE)[1]
    for link in links:
        place = re.match(rf"https://[\w.]+/topk-lightning/topk-lightning/(?:blob/)?v{re.escape(version)}/(.*)", link)
        assert place is None or (ROOT / place[1].partition("#")[0]).exists(), link
        page_of_site = re.match(r"https://topk-lightning\.github\.io/topk-lightning/([\w/-]+)\.html", link)
        if page_of_site and page_of_site[1] != "index":
            assert (ROOT / "docs" / f"{page_of_site[1]}.md").exists(), link


def test_the_source_archive_holds_what_its_own_tests_and_pages_need(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {path.name for path in ROOT.glob("*.*") if path.is_file()} - {".gitignore", ".git"}
    for name in (
        *tracked,
        "LICENSE",
        "Makefile",
        "tests/test_wheel.py",
        "docs/programs/project_version.py",
        "PKG-INFO",
    ):
        assert name in names, name
    assert not [name for name in names if name.startswith((".git/", "runs/", "site/", ".venv"))]


def test_wheel_holds_the_sheet_the_notice_the_licence_and_py_typed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    for name in (
        "data/emoji_sheet.webp",
        "data/emoji_sheet.json",
        "data/NOTICE",
        "py.typed",
        "__init__.pyi",
        "report/templates/page.html",
        "report/templates/sections/accuracy.html",
        "report/comparison.schema.json",
        "report/report.schema.json",
        "data/__init__.pyi",
        "serving/templates/page.html",
    ):
        assert f"topk_lightning/{name}" in sizes
    assert any(name.endswith("licenses/LICENSE") for name in sizes)
    assert sizes["topk_lightning/data/emoji_sheet.webp"] + sizes["topk_lightning/data/emoji_sheet.json"] <= 4 * 2**20
    assert not [name for name in sizes if name.startswith(("tests/", "docs/", "examples/"))]


def test_wheel_works_in_a_bare_environment(wheel, tmp_path):
    venv.create(tmp_path / "bare", with_pip=True)
    bare = tmp_path / "bare"
    python = bare / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    # The dependencies, 5 GB of them, are lent; a path in a .pth file does not lend the editable install of this project.
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True
        ).strip()
    )
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"])
    ways = {"cwd": tmp_path, "capture_output": True, "text": True}
    ways["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run([python, "-c", SCRIPT], **ways)
    assert run.returncode == 0, run.stderr[-3000:]
    assert int(run.stdout) == 462
    unmet = subprocess.run([python, "-c", REQUIREMENTS], **ways)
    assert (unmet.returncode, unmet.stdout) == (0, ""), unmet.stdout + unmet.stderr[-3000:]
    script = python.with_name("topk-lightning")
    shown = subprocess.run([script, "--version"], **ways)
    assert shown.returncode == 0, shown.stderr[-3000:]
    assert wheel.name.startswith(f"topk_lightning-{shown.stdout.split()[-1]}-")
