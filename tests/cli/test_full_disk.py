"""A disk that is full, on a small file system of its own: what was there before stays whole, and one sentence says it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from topk_lightning import TopKClassifier
from topk_lightning.cli import main

# Lightning's command line on newer versions of what it uses.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FAST = shlex.split("--data.classes 6 --image-size 16 --batch-size 12 --device cpu --report false")
IN_A_NAMESPACE = ["unshare", "--map-root-user", "--mount"]
SIZE = 24_000_000


def may_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and subprocess.run(["mount", "-V"], capture_output=True).returncode == 0  # fmt: skip


def test_without_root_the_tests_of_this_file_run_in_a_namespace_of_their_own():
    if sys.platform != "linux" or os.geteuid() == 0:
        pytest.skip("they run here")
    if not shutil.which("unshare") or subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("a small disk needs root, or a system that allows namespaces of users")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run([*IN_A_NAMESPACE, *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def disk(tmp_path):
    """A file system of 24 MB, with what fills it up."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if not may_mount() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk needs root, or a system that allows namespaces of users")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leaving: int) -> Path:
    """Leave so many bytes free."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - leaving)))
    return ballast


class Done(NamedTuple):
    """How a command ended, in this process."""

    returncode: int
    stderr: str


@pytest.fixture
def run(capsys):
    def run(*words) -> Done:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return Done(status, capsys.readouterr().err)

    return run


def refused(done, *words):
    """It ended in one sentence that names what could not be written and why."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    for word in words:
        assert word in done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("writer", ["ours", "of the user"])
def test_a_training_on_a_full_disk_keeps_what_was_there_and_goes_on_later(disk, run, writer):
    """Room for a table, not for a checkpoint; with a ModelCheckpoint of the user Lightning writes first."""
    monitored = "--trainer.callbacks+ ModelCheckpoint --trainer.callbacks.monitor val/top1 --trainer.callbacks.mode max"
    callback = [] if writer == "ours" else shlex.split(monitored)
    done = run("fit", *FAST, *callback, "--epochs", "1", "--out", disk / "run")
    assert done.returncode == 0, done.stderr
    before = contents(disk / "run")
    ballast = fill(disk, 300_000)
    refused(run("resume", disk / "run", "--epochs", "3"), ".ckpt")
    kept = contents(disk / "run")
    assert not [name for name in kept if name.endswith(".part")]
    assert {name: data for name, data in kept.items() if name.endswith(".ckpt")} == {
        name: data for name, data in before.items() if name.endswith(".ckpt")
    }
    assert kept["epochs.csv"].startswith(before["epochs.csv"].splitlines(keepends=True)[0])
    ballast.unlink()
    done = run("resume", disk / "run", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [line.split(b",")[0] for line in contents(disk / "run")["epochs.csv"].splitlines()[1:]] == [b"1", b"2", b"3"]


def test_a_training_that_cannot_even_write_its_table(disk, run):
    assert run("fit", *FAST, "--epochs", "1", "--out", disk / "run").returncode == 0
    before = contents(disk / "run")
    ballast = fill(disk, 0)
    refused(run("resume", disk / "run", "--epochs", "2"), "run")
    assert contents(disk / "run") == before
    ballast.unlink()
    assert run("resume", disk / "run", "--epochs", "2").returncode == 0


def test_predictions_a_report_and_a_saved_model_on_a_full_disk(disk, run, tmp_path):
    preprocessing = {"image_size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
    classifier = TopKClassifier(class_names=["ant", "bee", "cat"], preprocessing=preprocessing)
    model = classifier.save(tmp_path / "model.ckpt")
    for name in ("ant", "bee", "cat"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.effect_noise((16, 16), 50).save(tmp_path / "photos" / name / "a.png")
    for name in ("answers.csv", "page.html", "model.ckpt"):
        (disk / name).write_text("of before")
    before = contents(disk)
    ballast = fill(disk, 0)
    refused(run("predict", model, tmp_path / "photos", "--out", disk / "answers.csv"), "answers.csv")
    data = ["--data", tmp_path / "photos"]
    refused(run("report", model, *data, "--out", disk / "page.html"), "/page")
    with pytest.raises(OSError, match=r"No space left on device.*model\.ckpt"):
        classifier.save(disk / "model.ckpt")
    ballast.unlink()
    assert contents(disk) == before
