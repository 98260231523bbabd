"""Temperature, k, coarse to fine and the trace in one training: each step, each row, and after each kind of stop."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning.callbacks import EMAWeightAveraging

from tests.callbacks.curriculum import (
    BATCHES,
    EPOCHS,
    LADDER,
    STEPS,
    coarse_weight,
    fit,
    in_processes,
    same,
    temperature,
)
from tests.distributed import run_processes

pytestmark = [
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:Training goes on within epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]

COLUMNS = {
    "train/loss", "val/loss", "val/top1", "val/top2", "temperature", "k", "lr",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder):
    return fit(folder, log=True)


def test_each_step_computes_the_loss_of_its_place_in_all_three_curricula(whole):
    assert whole["steps"] == STEPS
    assert whole["error"] < 1e-5
    assert whole["histories"][0] == pytest.approx([temperature(step) for step in range(STEPS)])
    assert whole["histories"][1] == LADDER


def test_the_trace_shows_what_the_last_step_of_each_epoch_used(whole):
    for epoch, row in enumerate(whole["rows"]):
        assert set(row) >= COLUMNS
        assert row["epoch"] == epoch + 1
        assert row["k"] == LADDER[epoch]
        assert row["temperature"] == pytest.approx(temperature((epoch + 1) * BATCHES - 1), rel=1e-6)


def test_everything_is_logged_beside_the_metrics_of_the_epoch(whole, folder):
    assert {"loss.temperature", "loss.k", "coarse_weight"} <= set(whole["logged"])
    assert {
        f"{stage}/{kind}_top{k}" for stage in ("train", "val") for kind in ("fine", "coarse") for k in (1, 2)
    } <= set(whole["logged"])
    with (folder / "log" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    ends = [row for row in rows if row["loss.k"]]
    assert [row["step"] for row in ends] == [row["step"] for row in rows if row["val/top2"]]
    last = [(epoch + 1) * BATCHES - 1 for epoch in range(EPOCHS)]
    assert [float(row["loss.k"]) for row in ends] == LADDER
    assert [float(row["loss.temperature"]) for row in ends] == pytest.approx([temperature(step) for step in last])
    assert [float(row["coarse_weight"]) for row in ends] == pytest.approx([coarse_weight(step) for step in last])


@pytest.mark.parametrize(
    ("name", "left"), [("step=06", STEPS - 6), ("endepoch=1", 2 * BATCHES), ("step=12", STEPS - 12)]
)
def test_it_resumes_as_if_uninterrupted(whole, folder, tmp_path, name, left):
    resumed = fit(tmp_path, folder / f"{name}.ckpt")
    assert resumed["steps"] == left
    assert resumed["error"] < 1e-5
    assert resumed["histories"] == whole["histories"]
    assert [row["epoch"] for row in resumed["rows"]] == [1, 2, 3, 4]
    assert resumed["rows"][0] == whole["rows"][0]
    if name.startswith("end"):
        assert same(resumed, whole)
        assert resumed["rows"] == whole["rows"]
        assert resumed["logged"] == whole["logged"]


KILLED = """
import sys
from tests.callbacks.curriculum import Kill, fit
fit(sys.argv[1], callbacks=[Kill()])
"""


def test_a_killed_training_resumes_exactly(whole, tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)],
        cwd=root,
        env={"PATH": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    last = max(tmp_path.glob("step=*.ckpt"))
    assert last.name == f"step={2 * BATCHES + 2}.ckpt"
    for path, first in ((last, 2 * BATCHES + 2), (tmp_path / "endepoch=1.ckpt", 2 * BATCHES)):
        resumed = fit(tmp_path / "again", path)
        assert resumed["steps"] == STEPS - first
        assert resumed["error"] < 1e-5
        assert resumed["histories"] == whole["histories"]
    # Behind an epoch the data go on where they would have gone on, so the weights agree too.
    assert same(resumed, whole)


BESIDE = {
    "weight averaging": {"callbacks": [EMAWeightAveraging(decay=0.5)]},
    "bf16 beside float32": {"precision": "bf16-mixed"},
    "bf16": {"precision": "bf16-true"},
}


@pytest.mark.parametrize("beside", BESIDE)
def test_all_three_go_along_with(beside, tmp_path):
    found = fit(tmp_path, **BESIDE[beside])
    assert found["steps"] == STEPS
    assert found["error"] < 1e-5
    assert found["histories"][1] == LADDER
    assert found["logged"]["loss.k"] == LADDER[-1]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return run_processes(in_processes, 2, str(tmp_path_factory.mktemp("processes")))


def test_two_processes_compute_the_same_curricula(ranks):
    for uninterrupted, _, _ in ranks:
        assert uninterrupted["steps"] == STEPS
        assert uninterrupted["error"] < 1e-5
        assert uninterrupted["histories"][1] == LADDER
        assert uninterrupted["rows"] == ranks[0][0]["rows"]
    assert same(ranks[0][0], ranks[1][0])


def test_two_processes_resume_within_an_epoch_and_at_its_end(ranks):
    for uninterrupted, within, behind in ranks:
        for resumed, first in ((within, 12), (behind, 2 * BATCHES)):
            assert resumed["steps"] == STEPS - first
            assert resumed["error"] < 1e-5
            assert resumed["histories"] == uninterrupted["histories"]
        assert same(behind, uninterrupted)
        assert behind["rows"] == uninterrupted["rows"]
    assert same(ranks[0][1], ranks[1][1])
