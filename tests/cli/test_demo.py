"""demo: what it shows and writes, that its seed repeats it, and what Ctrl-C leaves."""

import contextlib
import csv
import io
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from topk_lightning.cli import main
from topk_lightning.data import EmojiDataModule

# Python 3.12 and later: the process that loads images is forked beside pytest's threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

SMALL = ["demo", "--classes", "8", "--accelerator", "cpu"]


def run(words):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main(words) == 0
    return shown.getvalue()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("a demo")
    return out, run([*SMALL, "--epochs", "2", "--out", str(out)])


def test_it_shows_a_row_an_epoch_and_the_test_beside_chance(demo):
    _, shown = demo
    lines = [line.split() for line in shown.splitlines()]
    heading = next(line for line in lines if line[:1] == ["epoch"])
    assert heading[:8] == ["epoch", "train", "loss", "val", "loss", "top-1", "top-3", "top-5"]
    assert [line[0] for line in lines if line[:1] in (["1"], ["2"])] == ["1", "2"]
    rows = {line[0]: line for line in lines if line and line[0] in ("top-1", "top-3", "top-5")}
    for k in (1, 3, 5):
        accuracy, low, _to, high, chance = rows[f"top-{k}"][1:]
        assert 0 <= float(low) <= float(accuracy) <= float(high) <= 1
        assert chance == f"{k / 8:.3f}"


def test_a_curriculum_shows_its_temperature_and_k(tmp_path):
    shown = run([*SMALL, "--epochs", "3", "--curriculum", "--out", str(tmp_path)])
    with (tmp_path / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["k"]) for row in rows] == [5, 5, 3]  # at progress 0, 1/3 and 2/3: rungs at 0 and .5
    temperatures = [float(row["temperature"]) for row in rows]
    assert temperatures == sorted(temperatures, reverse=True)
    assert temperatures[-1] == 1
    assert "temp   k  note" in shown


def test_it_names_six_drawings_of_the_vendor_it_never_saw(demo):
    _, shown = demo
    names = EmojiDataModule(classes=8).class_names
    table = shown.split("its three best classes")[1].split("curves and pictures")[0].strip("\n").splitlines()[1:]
    named = [line for line in table if any(line.startswith(name) for name in names)]
    assert len(named) == 6
    for line in named:
        assert sum(line.count(name) > 0 for name in names) >= 3


def test_it_writes_one_picture_a_table_and_a_checkpoint(demo):
    out, _ = demo
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        "best.ckpt",
        "classes.csv",
        "demo.png",
        "drawings",
        "epochs.csv",
        "epochs.png",
        "last.ckpt",
        "report.html",
        "report.json",
        "suspects.csv",
    ]
    with Image.open(out / "demo.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 500  # drawings, not an empty page
    assert [row["epoch"] for row in csv.DictReader(io.StringIO((out / "epochs.csv").read_text()))] == ["1", "2"]


def test_it_ends_by_saying_where_its_report_is(demo):
    out, shown = demo
    assert shown.splitlines()[-1] == f"report:              {out / 'report.html'}"
    page = (out / "report.html").read_text()
    assert "How well emoji are named" in page
    top1 = next(line.split()[1] for line in shown.splitlines() if line.split()[:1] == ["top-1"])
    assert f"of 8 images ({top1})" in page  # the report tests anew, and finds what the test found
    assert f"--epochs 2 --out &#39;{out}&#39;" in page or f"--epochs 2 --out {out}" in page


def test_the_command_it_shows_predicts_with_its_checkpoint(demo):
    out, shown = demo
    command = shlex.split(shown.split("predict with it:")[1].splitlines()[0])
    assert command[0] == "topk-lightning"
    assert "probability" in run(command[1:])
    answer = list(csv.DictReader(io.StringIO(run([*command[1:], "--format", "csv"]))))
    drawings = sorted((out / "drawings").iterdir())
    assert [row["image"] for row in answer] == [str(file) for file in drawings for _ in range(3)]
    # The file of a drawing is what the demonstration saw, so the answer is the one that it showed.
    (third,) = [line for line in shown.splitlines() if line.startswith(drawings[2].stem[2:].replace("-", " "))]
    assert f"{answer[6]['class']} {float(answer[6]['probability']):.3f}" in third


def test_its_seed_repeats_it(demo, tmp_path):
    out, _ = demo
    run([*SMALL, "--epochs", "2", "--out", str(tmp_path)])
    assert (tmp_path / "epochs.csv").read_text() == (out / "epochs.csv").read_text()


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "interrupted"
    words = [*SMALL, "--epochs", "500", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "topk_lightning", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background of a shell inherit a SIGINT that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "60"},
    )
    deadline = time.monotonic() + 300
    while not (out / "last.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    shown, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in said
    again = said.split("Go on with: ")[1].strip()
    step = f" This step is kept in {out / 'interrupted.ckpt'}." if (out / "interrupted.ckpt").is_file() else ""
    assert said == f"Interrupted. The last finished epoch is kept in {out / 'last.ckpt'}.{step} Go on with: {again}\n"
    assert max(map(len, shown.splitlines())) <= 60
    assert "\x1b" not in shown + said

    epochs = len((out / "epochs.csv").read_text().splitlines()) - 1
    command = shlex.split(again)
    command[command.index("--epochs") + 1] = str(epochs + 2)
    run(command[1:])
    rows = list(csv.DictReader(io.StringIO((out / "epochs.csv").read_text())))
    assert [int(row["epoch"]) for row in rows] == list(range(1, epochs + 3))
