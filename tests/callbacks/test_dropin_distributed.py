"""The drop-in callbacks in two real gloo processes, all in one start of them."""

import csv
import os

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler

from tests.callbacks.modules import Plain, loader, logged, rows, trainer_of_process
from tests.callbacks.test_coarse_to_fine import GROUPS, blended, recorder
from tests.callbacks.test_prediction_writer import NAMES, Inputs, Predicting, expected, network, read
from tests.callbacks.test_topk_monitor import truth
from tests.distributed import run_processes
from topk_lightning.callbacks import CoarseToFine, TopKMonitor, TopKPredictionWriter
from topk_lightning.decisions import PILES, ReviewPlan
from topk_lightning.hierarchy import coarsen_logits, coarsen_target
from topk_lightning.ranking import in_topk

PLAN = ReviewPlan(0.3, 0.45, 2, 0.05, "all", 0.95, 100, len(NAMES))


def plain(module):
    return {name: value.tolist() for name, value in module.state_dict().items()}


def monitored(rank, world_size):
    module = Plain()
    run = trainer_of_process(rank, world_size, TopKMonitor(k=(1, 2), stages=("train", "val", "test")))
    run.fit(module, loader(13), loader(11, batch_size=2))
    fitted = logged(run)
    (tested,) = run.test(module, loader(3, seed=5), verbose=False)
    return fitted, tested, plain(module)


def coarse_to_fine(rank, world_size):
    module = recorder()
    run = trainer_of_process(rank, world_size, CoarseToFine(GROUPS, hold_fraction=0.5), max_epochs=2)
    run.fit(module, loader(16), loader(12, batch_size=3))
    errors = [
        abs(loss - blended(F.cross_entropy, weight, logits, target))
        for weight, (logits, target, loss) in zip([1, 1, 0, 0], module.steps, strict=True)
    ]
    return errors, logged(run), plain(module)


def written(rank, world_size, folder):
    run = trainer_of_process(rank, world_size, TopKPredictionWriter(f"{folder}/p.csv", 3, NAMES))
    run.predict(Predicting(), DataLoader(Inputs(11), batch_size=2))
    own = DistributedSampler(Inputs(11), world_size, rank, shuffle=False)
    run = trainer_of_process(rank, world_size, TopKPredictionWriter(f"{folder}/own.parquet", 3, NAMES))
    run.predict(Predicting(), DataLoader(Inputs(11), batch_size=2, sampler=own))
    run = trainer_of_process(rank, world_size, TopKPredictionWriter(f"{folder}/piles.csv", 1, NAMES, plan=PLAN))
    run.predict(Predicting(), DataLoader(Inputs(11), batch_size=2))
    return sorted(os.listdir(folder)), run.global_rank


def all_of_them(rank, world_size, folder):
    return monitored(rank, world_size), coarse_to_fine(rank, world_size), written(rank, world_size, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions")


@pytest.fixture(scope="module")
def found(folder):
    """For each callback, what the two processes returned."""
    return list(zip(*run_processes(all_of_them, 2, str(folder)), strict=True))


def test_the_monitor_reports_the_exact_value_of_the_whole_set(found):
    (fitted, tested, state), other = found[0]
    module = Plain()
    module.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    for k in (1, 2):
        assert fitted[f"val/top{k}"] == pytest.approx(truth(module, rows(11), k))
        assert tested[f"test/top{k}"] == pytest.approx(truth(module, rows(3, seed=5), k))
    assert (fitted, tested) == other[:2]
    assert 0 <= fitted["train/top1"] <= fitted["train/top2"] <= 1


def test_coarse_to_fine_computes_the_same_loss_and_counts_the_whole_set(found):
    (errors, logged_values, state), other = found[1]
    assert max(errors + other[0]) < 1e-5
    assert logged_values == other[1]
    module = recorder().eval()
    module.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    inputs, target = rows(12).tensors
    logits = module(inputs)
    coarse = in_topk(coarsen_logits(logits, GROUPS), coarsen_target(target, GROUPS), 1)
    assert logged_values["val/coarse_top1"] == pytest.approx(coarse.sum().item() / 12)
    assert logged_values["val/fine_top1"] == pytest.approx(in_topk(logits, target, 1).sum().item() / 12)


def test_the_writer_writes_each_image_once_into_one_file(found, folder):
    files = ["own.parquet", "p.csv", "piles.csv"]
    assert found[2] == ((files, 0), (files, 1))
    whole = expected(Inputs(11).inputs)
    in_order_of_processes = [row for rank in (0, 1) for row in whole if int(row[0]) % 2 == rank]
    assert read(folder / "p.csv") == in_order_of_processes
    assert read(folder / "own.parquet") == in_order_of_processes


def test_the_writer_of_two_processes_carries_the_pile(found, folder):
    with torch.no_grad():
        piles = PLAN.piles(network().eval()(Inputs(11).inputs)).tolist()
    with (folder / "piles.csv").open(newline="", encoding="utf-8") as file:
        written_piles = {int(row["image"]): row["pile"] for row in csv.DictReader(file)}
    assert [written_piles[index] for index in range(11)] == [PILES[pile] for pile in piles]
    assert len(set(piles)) > 1
