"""The study as a program: it runs, goes on after a kill and from its parquet, and writes its pages from the results alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torchvision")
pytest.importorskip("scipy")
pytest.importorskip("pyarrow")

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "examples" / "study"
KEY = ("grid", "setting", "method", "candidate", "stage", "split")


def start(out, *options):
    command = [sys.executable, str(STUDY), "--smoke", "--out", str(out), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def run(out, *options):
    process = start(out, *options)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return printed


def lines(out):
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_the_smoke_form_runs_and_what_is_there_is_not_run_again(tmp_path):
    out = tmp_path / "study"
    printed = run(out)
    records = lines(out)
    # 3 settings, 3 methods each: 3 candidates on 2 tuning splits, the chosen one on 3 others; a CNN by 4 methods; and in
    # one setting the questions after training, on the same 3 splits
    assert len(records) == 3 * 3 * (3 * 2 + 3) + 4 * (2 * 1 + 2) + 3 * 3
    assert len({tuple(record[name] for name in KEY) for record in records}) == len(records)
    tested = {
        (r["method"], r["split"]): r["top5"]
        for r in records
        if (r["grid"], r["stage"]) == ("a", "test") and r["setting"] == "synthetic, smoke"
    }
    again = {(r["method"], r["split"]): r["top5"] for r in records if r["grid"] == "c"}
    assert again == pytest.approx(tested, abs=2e-3)  # the training that was tested, made once more
    assert printed.count("of 13:") == 13
    page = (out / "docs" / "study.md").read_text()
    assert "| synthetic, smoke | " in page
    assert "**synthetic, smoke**, 3 splits" in page
    assert "**emoji, small CNN, smoke**, 1 epochs, 2 splits" in page
    assert {path.name for path in (out / "docs" / "assets").iterdir()} >= {"study_forest.svg", "study_curves.svg"}

    # The parquet alone is enough: nothing is trained again, and the page is the same.
    (out / "results.jsonl").unlink()
    run(out)
    assert lines(out) == []
    assert (out / "docs" / "study.md").read_text() == page


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    out, options = tmp_path / "study", ("--settings", "synthetic, smoke", "--workers", "1")
    process = start(out, *options)
    deadline = time.monotonic() + 240
    while not lines(out):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = lines(out)
    with (out / "results.jsonl").open("a") as file:
        file.write('{"grid": "a", "sett')  # as a kill in the middle of a line leaves it

    run(out, *options)
    text = (out / "results.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in text[: len(kept)]] == kept
    whole = [json.loads(line) for line in text if line.endswith("}")]
    assert len(text) == len(whole) + 1
    assert len(whole) == len({tuple(record[name] for name in KEY) for record in whole}) == 3 * (3 * 2 + 3 + 3)


def test_results_of_another_version_are_made_anew(tmp_path):
    sys.path.insert(0, str(STUDY))
    from records import VERSION, Records, read_parquet, write_parquet

    key = {"grid": "a", "setting": "s", "method": "m", "candidate": 0, "stage": "test", "split": 0}
    records = Records(tmp_path / "lines.jsonl", tmp_path / "kept.parquet")
    write_parquet([{**key, "version": VERSION - 1, "top5": 0.5}], tmp_path / "kept.parquet")
    assert records.read() == []
    records.add([{**key, "version": VERSION, "top5": 0.25}])
    assert [record["top5"] for record in records.read()] == [0.25]
    write_parquet(records.read(), tmp_path / "kept.parquet")
    assert read_parquet(tmp_path / "kept.parquet") == records.read()
