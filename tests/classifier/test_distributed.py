"""TopKClassifier in two real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from topk_lightning.data import rows_seen_once


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    out = tmp_path_factory.mktemp("ddp") / "result.json"
    script = Path(__file__).with_name("distributed_classifier.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(out)],
        cwd=out.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_numbers_are_those_of_the_whole_set_though_the_sampler_repeats_rows(two_processes):
    assert two_processes["validated"] == pytest.approx(two_processes["validation"], rel=1e-5)
    assert two_processes["tested"] == pytest.approx(two_processes["test"], rel=1e-5)


def test_each_of_several_loaders_counts_its_own_rows_once(two_processes):
    assert two_processes["apart"] == pytest.approx(two_processes["each"], rel=1e-5)


def test_every_stage_is_logged(two_processes):
    stages = [f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "top1", "top3", "top5")]
    assert two_processes["logged"] == sorted(stages)


def test_a_frozen_backbone_is_released_in_step_on_both_processes(two_processes):
    first, second, third = two_processes["epochs"]
    assert first["ranks_agree"]
    assert second["ranks_agree"]
    assert third["ranks_agree"]
    assert first["mean_of_batch_norm"] == 0.0  # its start
    assert second["mean_of_batch_norm"] != 0.0
    assert first["backbone"] != second["backbone"] != third["backbone"]
    assert first["head"] != second["head"]


@pytest.mark.parametrize("n", [1, 8, 9, 10, 11, 12])
@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
def test_each_row_is_counted_once_over_all_processes(n, replicas):
    counted = []
    for rank in range(replicas):
        sampler = DistributedSampler(range(n), replicas, rank, shuffle=True, seed=3)
        seen = 0
        for batch in DataLoader(range(n), batch_size=2, sampler=sampler):
            counted += batch.tolist()[: rows_seen_once(sampler, seen, len(batch))]
            seen += len(batch)
    assert sorted(counted) == list(range(n))


def test_other_samplers_repeat_nothing():
    assert rows_seen_once(SequentialSampler(range(3)), 3, 4) == 4
    assert rows_seen_once(None, 0, 4) == 4
    assert rows_seen_once(DistributedSampler(range(11), 2, 1, drop_last=True), 4, 1) == 1
