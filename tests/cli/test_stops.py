"""Real signals to real processes: in every phase one sentence and the right status, and nothing finished is lost."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from topk_lightning import TopKClassifier
from topk_lightning._files import read_archive
from topk_lightning.cli._runs import sole_training

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends a process no SIGTERM, and Ctrl-C only to a whole console"
)

#: How often a training is stopped in the test of resuming; 50 in the long form (``make kills``).
KILLS = int(os.environ.get("TOPK_LIGHTNING_KILLS", "3"))

#: Seconds that a step of a test may last on a busy machine; the long form waits for whatever else runs there.
BOUND = 300 if KILLS <= 3 else 3000
FAST = shlex.split("--data.classes 12 --image-size 16 --batch-size 12 --device cpu")
STARTED: list[subprocess.Popen] = []
WORDS = {signal.SIGINT: ("Interrupted", 130), signal.SIGTERM: ("Terminated", 143)}


@pytest.fixture(autouse=True)
def no_process_left():
    """End what a failed test left."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.communicate()


def start(words, cwd):
    process = subprocess.Popen(
        [sys.executable, "-m", "topk_lightning", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background of a shell inherit a SIGINT that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "PYTHONPATH": os.getcwd()},
    )
    STARTED.append(process)
    return process


def wait_for(process, happened):
    deadline = time.monotonic() + BOUND
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stop(process, signum):
    process.send_signal(signum)
    shown, said = process.communicate(timeout=BOUND)
    word, status = WORDS[signum]
    assert process.returncode == status, (process.returncode, said)
    assert "Traceback" not in said
    assert "Exception" not in said
    assert said.startswith(word)
    assert said.count("\n") == 1
    return shown, said


def waiting(phase, marker):
    name = "--trainer.callbacks"
    return [f"{name}+", "tests.cli.modules.Waiting", f"{name}.phase", phase, f"{name}.marker", str(marker)]


@pytest.mark.parametrize(
    ("phase", "signum"),
    [
        ("setup", signal.SIGINT),
        ("sanity check", signal.SIGTERM),
        ("validation", signal.SIGTERM),
        ("test", signal.SIGINT),
    ],
)
def test_a_stop_in_a_phase_of_fit(phase, signum, tmp_path):
    process = start(["fit", *FAST, "--epochs", "1", *waiting(phase, tmp_path / "marker")], tmp_path)
    wait_for(process, (tmp_path / "marker").exists)
    _, said = stop(process, signum)
    if phase == "test":
        assert said == (
            "Interrupted. The training is finished. Test it and write its report with: "
            "topk-lightning report runs/emoji/best.ckpt --out runs/emoji/report.html\n"
        )
    elif phase == "validation":
        assert "This step is kept in runs/emoji/interrupted.ckpt. Go on with: " in said
    else:
        assert said.endswith(". Nothing was saved.\n")


@pytest.mark.parametrize("signum", WORDS)
def test_a_stop_while_a_command_is_imported(signum, tmp_path):
    process = start(["fit", *FAST], tmp_path)
    maps = Path(f"/proc/{process.pid}/maps")
    wait_for(process, lambda: "libtorch" in maps.read_text())  # in the middle of importing torch
    _, said = stop(process, signum)
    assert said == f"{WORDS[signum][0]}.\n"


TIDIES_UP = """
import atexit, sys, time
from topk_lightning.cli import main

def tidy():
    print("tidies up", flush=True)
    time.sleep(0.5)

atexit.register(tidy)
sys.exit(main())
"""


@pytest.mark.parametrize("signum", WORDS)
def test_a_stop_when_all_is_done_changes_nothing(signum):
    """Python takes a second to tidy up after torch, when what was asked for is written."""
    words = [sys.executable, "-c", TIDIES_UP, "--version"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})  # fmt: skip
    STARTED.append(process)
    while "tidies up" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    process.send_signal(signum)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)


@pytest.mark.parametrize("signum", WORDS)
def test_a_stop_while_the_photos_are_looked_at(signum, tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            Image.effect_noise((16, 16), 50 + number).save(tmp_path / "photos" / name / f"{number}.png")
    data = [
        "--data",
        "tests.cli.modules.WaitingLook",
        "--data.root",
        "photos",
        "--data.marker",
        str(tmp_path / "marker"),
    ]
    process = start(["fit", *data, "--device", "cpu"], tmp_path)
    wait_for(process, (tmp_path / "marker").exists)
    _, said = stop(process, signum)
    assert said == f"{WORDS[signum][0]}. Nothing was saved.\n"


def running_of(group):
    """Numbers and states of the processes of a group, as the kernel counts them, those that nobody has asked after too."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group:
                found.append((path.parent.name, state))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")
@pytest.mark.parametrize("signum", WORDS)
def test_a_stop_of_two_processes_that_train_together(signum, tmp_path):
    """A terminal and a scheduler send the signal to all of them; none waits for another."""
    slow = ["--trainer.callbacks+", "tests.cli.modules.SlowSteps"]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--epochs", "500", "--out", "run"]
    process = start(["fit", *FAST, *two, *slow], tmp_path)
    wait_for(process, (tmp_path / "run" / "last.ckpt").is_file)
    os.killpg(process.pid, signum)
    _, said = process.communicate(timeout=BOUND)  # both hold the pipe
    assert process.returncode == WORDS[signum][1], said
    assert "Traceback" not in said
    word = WORDS[signum][0]
    sentence = f"{word}. The last finished epoch is kept in run/last.ckpt. Go on with: topk-lightning resume run\n"
    assert said.count(sentence) >= 1, said
    read_archive(tmp_path / "run" / "last.ckpt", "model", "be whole")
    assert running_of(process.pid) == []


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")
@pytest.mark.parametrize("killed", ["the first", "the other"])
def test_where_one_of_two_processes_is_killed_the_other_ends_with_an_error(killed, tmp_path):
    """Nobody waits for ever in a collective for one that is dead, and the lock of the folder is free again."""
    slow = ["--trainer.callbacks+", "tests.cli.modules.SlowSteps"]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--epochs", "500", "--out", "run"]
    process = start(["fit", *FAST, *two, *slow], tmp_path)
    wait_for(process, (tmp_path / "run" / "last.ckpt").is_file)
    others = [int(pid) for pid, _ in running_of(process.pid) if parent_of(pid) == process.pid]
    (other,) = [pid for pid in others if b"topk_lightning" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(process.pid if killed == "the first" else other, signal.SIGKILL)
    _, said = process.communicate(timeout=BOUND)  # both hold the pipe: both have ended
    assert process.returncode != 0
    assert killed == "the other" or "Error" in said, said
    assert [state for _, state in running_of(process.pid) if state != "Z"] == []  # the killed are nobody's to ask after
    read_archive(tmp_path / "run" / "last.ckpt", "model", "be whole")
    with sole_training(tmp_path / "run"):
        pass


def test_a_stop_while_the_report_is_written(tmp_path):
    process = start(["fit", *FAST, "--epochs", "1"], tmp_path)
    line = ""
    while "interval" not in line:  # the test is done, its table is shown
        line = process.stdout.readline()
        assert line, process.communicate()
    stop(process, signal.SIGTERM)
    assert (tmp_path / "runs" / "emoji" / "best.ckpt").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="open files are looked up in /proc")
@pytest.mark.parametrize(("command", "signum"), [("predict", signal.SIGINT), ("report", signal.SIGTERM)])
def test_a_stop_while_photos_are_read(command, signum, tmp_path):
    preprocessing = {"image_size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
    TopKClassifier(class_names=["ant", "bee"], preprocessing=preprocessing).save(tmp_path / "model.ckpt")
    Image.effect_noise((1500, 1500), 50).save(tmp_path / "photo.jpg")
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2000):
            (tmp_path / "photos" / name / f"{number}.jpg").hardlink_to(tmp_path / "photo.jpg")
    given = {"predict": ["model.ckpt", "photos"], "report": ["model.ckpt", "--data", "photos"]}
    process = start([command, *given[command], "--batch-size", "1"], tmp_path)
    files = Path(f"/proc/{process.pid}/fd")

    def reads() -> bool:
        found = []
        for file in files.iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append(os.readlink(file))
        return any(str(tmp_path / "photos") in name for name in found)

    wait_for(process, reads)
    shown, said = stop(process, signum)
    assert (shown, said) == ("", f"{WORDS[signum][0]}.\n")
    assert not list(tmp_path.glob("report*"))


def test_a_stop_of_the_served_page(tmp_path):
    pytest.importorskip("uvicorn")
    subprocess.run([sys.executable, "-m", "topk_lightning", "fit", *FAST, "--epochs", "1", "--report", "false"], cwd=tmp_path, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": os.getcwd()})  # fmt: skip
    for signum in WORDS:
        process = start(["serve", "runs/emoji", "--port", "0"], tmp_path)
        assert "Serving" in process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signum)
        _, said = process.communicate(timeout=60)
        assert process.returncode == WORDS[signum][1]
        assert said.splitlines()[-1] == "Stopped."
        assert "Traceback" not in said


def test_two_trainings_in_one_folder_the_second_is_refused_by_name(tmp_path):
    words = ["fit", *FAST, "--out", "run", "--report", "false"]
    first = start([*words, "--epochs", "500"], tmp_path)
    wait_for(first, (tmp_path / "run" / ".lock").exists)
    second = start([*words, "--epochs", "1"], tmp_path)
    _, said = second.communicate(timeout=BOUND)
    assert said == (
        f"error: --out must be a folder in which no other training runs, got 'run', where process {first.pid} trains. "
        "Wait for it, or name another folder.\n"
    )
    assert second.returncode == 1
    first.kill()  # a dead process holds no lock
    first.communicate()
    for name in ("best.ckpt", "last.ckpt"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    third = start([*words, "--epochs", "1"], tmp_path)
    assert third.communicate(timeout=BOUND)[1] == ""
    assert third.returncode == 0


def rows(folder):
    path = folder / "epochs.csv"
    if not path.is_file():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_training_that_is_killed_again_and_again_is_the_whole_one(tmp_path):
    epochs = 4 + 2 * KILLS
    monitored = "--trainer.callbacks+ ModelCheckpoint --trainer.callbacks.monitor val/top1 --trainer.callbacks.mode max"
    slow = "--trainer.callbacks+ tests.cli.modules.SlowSteps"
    words = ["fit", *FAST, "--epochs", str(epochs), "--report", "false", *shlex.split(monitored)]
    whole = start([*words, "--out", "whole"], tmp_path)
    assert whole.communicate(timeout=10 * BOUND)[1] == ""

    chance = random.Random(0)
    folder = tmp_path / "run"
    process = start([*words, *shlex.split(slow), "--out", "run"], tmp_path)
    for number in range(KILLS):
        before = len(rows(folder))
        wait_for(process, lambda before=before: (folder / "last.ckpt").is_file() and len(rows(folder)) > before)
        time.sleep(chance.uniform(0, 0.3))
        signum = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
        shown = rows(folder)
        if signum == signal.SIGKILL:
            process.kill()
            process.communicate()
        else:
            _, said = stop(process, signum)
            assert said.endswith(" with: topk-lightning resume run\n")
        process = start(["resume", "run"], tmp_path)
        wait_for(process, lambda shown=shown: len(rows(folder)) >= len(shown))
    assert process.communicate(timeout=10 * BOUND)[1] == ""
    assert process.returncode == 0
    assert rows(folder) == rows(tmp_path / "whole")


def test_an_ascii_locale_does_not_end_the_demo(tmp_path):
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "topk_lightning", "demo", "--classes", "6", "--epochs", "1", "--accelerator", "cpu"]
    done = subprocess.run(words, cwd=tmp_path, env={**env, "PYTHONPATH": os.getcwd()}, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path / "runs" / "demo" / "report.html").is_file()
