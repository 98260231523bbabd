"""Places that cannot be written to: every command that writes says so in one sentence, before it reads or trains anything."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tests.cli.test_full_disk import may_mount
from topk_lightning._checks.places import UnwritableError
from topk_lightning._files import write_file
from topk_lightning.cli import main
from topk_lightning.report import write_report

# Lightning's command line on newer versions of what it uses.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SMALL = "--data.classes 6 --image-size 16 --epochs 1 --device cpu"
#: Each command, what it writes and the option that names it. The checkpoint and the scores hold no such thing: who read
#: them first would say so.
COMMANDS = [
    (f"fit {SMALL}", "", "--out"),
    (f"fit {SMALL} --show-batch", "", "--out"),
    ("demo", "", "--out"),
    ("report text.ckpt", "page.html", "--out"),
    ("report text.npz", "page.html", "--out"),
    ("test text.ckpt", "scores.npz", "--save-scores"),
    ("predict text.ckpt text.ckpt", "answers.csv", "--out"),
    ("trace text.ckpt text.ckpt", "layers.png", "--picture"),
    ("export text.ckpt --format onnx", "model.onnx", "--out"),
    ("export text.ckpt --format torch", "model.pt2", "--out"),
    ("export text.ckpt --format hf", "", "--out"),
    ("sets text.npz", "sets.json", "--out"),
    ("calibrate text.npz", "temperature.json", "--out"),
    ("review text.npz", "plan.json", "--out"),
    ("compare text.npz text.npz", "page.html", "--out"),
    ("compare text.npz text.npz", "page.json", "--out"),
]
#: Where, and what the system says of it.
PLACES = {
    "below a file": ("file/in", "Not a directory"),
    "below a device": ("/dev/full/in", "Not a directory"),
    "what is no disk": ("/proc/nowhere", "No such file or directory"),
    "a name too long": ("n" * 256, "File name too long"),
    "a part too long": ("", "File name too long"),
    "a disk that is only read": ("readonly/in", "Read-only file system"),
}
CASES = [(*command, place) for command in COMMANDS for place in PLACES if command[1] or place != "a part too long"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("file", "text.ckpt", "text.npz"):
        (tmp_path / name).write_text("neither a checkpoint nor scores")
    return tmp_path


@pytest.fixture
def readonly(folder):
    """A file system that is only read, with a file that is called a checkpoint."""
    where = folder / "readonly"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(where)]
    if not may_mount() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    (where / "text.ckpt").write_text("no checkpoint")
    subprocess.run(["mount", "-o", "remount,ro", str(where)], check=True)
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)


def refusal(words, capsys) -> str:
    before = sorted(os.listdir())
    capsys.readouterr()
    assert main(words) == 1
    shown = capsys.readouterr()
    assert sorted(os.listdir()) == before
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err.removeprefix("error: ").strip()


@pytest.mark.skipif(sys.platform != "linux", reason="the places and their errors are those of Linux")
@pytest.mark.parametrize(("command", "name", "option", "place"), CASES, ids=[f"{c.split(' --')[0]} {n}, {p}" for c, n, _, p in CASES])  # fmt: skip
def test_a_place_that_cannot_be_written_to_is_said_first(command, name, option, place, folder, capsys, request):
    where, reason = PLACES[place]
    if place == "a disk that is only read":
        request.getfixturevalue("readonly")
    # Of itself as long as a name may be; what is written beside it first is longer.
    out = f"{where}/{name}".rstrip("/") if where else "n" * (255 - len(name)) + name
    what = "be a file that can be written" if name else "be a folder that can be written to"
    assert refusal([*shlex.split(command), option, out], capsys) == f"{option} must {what}, got {out!r} ({reason})."


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize(
    ("command", "out"),
    [
        (f"fit {SMALL}", "runs/emoji"),
        ("demo", "runs/demo"),
        ("report {}/text.ckpt", "report.html"),
        ("export {}/text.ckpt --format onnx", "model.onnx"),
        ("export {}/text.ckpt --format hf", "model"),
    ],
)
def test_so_is_the_place_that_nobody_named(command, out, folder, capsys, monkeypatch):
    monkeypatch.delenv("TOPK_LIGHTNING_RUN", raising=False)
    monkeypatch.chdir("/proc/self")
    main(shlex.split(command.format(folder)))
    said = capsys.readouterr().err
    assert said.startswith("error: --out must be a f")
    assert said.endswith(f", got {out!r} (No such file or directory).\n")


@pytest.mark.parametrize("command", ["sets", "review"])
def test_a_checkpoint_that_cannot_keep_a_fit_is_said_before_the_images_are_looked_at(command, readonly, capsys):
    checkpoint = readonly / "text.ckpt"
    wanted = f"checkpoint must be a file that can be written, got '{checkpoint}' (Read-only file system)."
    assert refusal([command, str(checkpoint)], capsys) == wanted


def test_what_is_no_file_is_never_replaced(folder, capsys):
    os.mkfifo("pipe.csv")
    wanted = "must be a file that can be written, got 'pipe.csv', which is no regular file."
    assert refusal(["predict", "text.ckpt", "text.ckpt", "--out", "pipe.csv"], capsys) == f"--out {wanted}"
    with pytest.raises(OSError, match=f"^path {wanted}$"):
        write_file("pipe.csv", b"gone")
    assert not os.path.isfile("pipe.csv")


def test_the_function_says_it_before_it_loads_a_model(folder):
    with pytest.raises(UnwritableError, match=r"^out must be a file that can be written, got 'file/in\.html' \(Not"):
        write_report("text.ckpt", out="file/in.html")
