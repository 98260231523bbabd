"""The wheel, built and installed into a bare environment, holds what it needs."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
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
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


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
    run = subprocess.run([python, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert int(run.stdout) == 462
    unmet = subprocess.run([python, "-c", REQUIREMENTS], cwd=tmp_path, capture_output=True, text=True)
    assert (unmet.returncode, unmet.stdout) == (0, ""), unmet.stdout + unmet.stderr[-3000:]
    script = python.with_name("topk-lightning")
    shown = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr[-3000:]
