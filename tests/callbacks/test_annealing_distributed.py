"""The annealing callbacks in two gloo processes: every process sees the values of the first."""

import os
import warnings

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from tests.callbacks.annealing import KSteps, loader, trainer
from tests.distributed import run_processes
from topk_lightning.callbacks import CallbackError, KAnnealing, TemperatureAnnealing

BATCHES, EPOCHS = 5, 4


class Unequal(KSteps):
    """Each process measures something else, and does not say so."""

    def __init__(self):
        super().__init__()
        self.temperatures = []

    def training_step(self, batch, batch_idx):
        self.temperatures.append(self.loss.temperature)
        return super().training_step(batch, batch_idx)

    def on_validation_epoch_end(self):
        values = (0.1, 0.95, 0.95, 0.95) if self.global_rank == 0 else (0.95, 0.95, 0.1, 0.1)
        self.log("val/top5", values[self.current_epoch])


def fit(folder, ckpt_path=None, monitor="val/top5", **options):
    module = Unequal()
    callbacks = [
        TemperatureAnnealing(schedule="linear"),
        KAnnealing(monitor=monitor, threshold=0.9),
        ModelCheckpoint(folder, "{step:02}", every_n_train_steps=4, save_top_k=-1),
    ]
    its = trainer(
        callbacks=callbacks, devices=2, strategy="ddp", max_epochs=EPOCHS, enable_checkpointing=True, **options
    )
    its.fit(module, loader(2 * BATCHES), loader(2), ckpt_path=ckpt_path)
    return {
        "k": module.trained,
        "temperature": module.temperatures,
        "histories": [annealing.history for annealing in callbacks[:2]],
        "logged": {name: float(value) for name, value in its.callback_metrics.items() if name.startswith("loss")},
        "weight": module.network.weight.detach().clone().numpy(),
    }


def train(rank, world_size, folder):
    warnings.simplefilter("ignore")
    # What torchrun sets: Lightning joins the processes that there are.
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_WORLD_SIZE=str(world_size),
        GROUP_RANK="0", TORCHELASTIC_RUN_ID="test",
    )  # fmt: skip
    whole = fit(folder)
    resumed = fit(folder, ckpt_path=f"{folder}/step=12.ckpt")
    error = ""
    try:
        fit(f"{folder}/other", monitor="val/top3")
    except CallbackError as raised:
        error = str(raised)
    return whole, resumed, error


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return run_processes(train, 2, str(tmp_path_factory.mktemp("checkpoints")))


def test_k_is_decided_by_the_first_process_for_all(ranks):
    for whole, _, _ in ranks:
        assert whole["k"] == [5] * 2 * BATCHES + [3] * BATCHES + [1] * BATCHES
        assert whole["histories"][1] == [5, 5, 3, 1]
        assert whole["logged"] == {"loss.k": 1.0, "loss.temperature": 1.0}


def test_all_processes_see_the_same_temperature(ranks):
    steps = EPOCHS * BATCHES
    for whole, _, _ in ranks:
        assert whole["temperature"] == pytest.approx([4 - 3 * step / (steps - 1) for step in range(steps)])
    torch.testing.assert_close(ranks[0][0]["weight"], ranks[1][0]["weight"], rtol=0, atol=0)


def test_a_resume_in_the_middle_of_an_epoch_goes_on_in_all_processes(ranks):
    for whole, resumed, _ in ranks:
        assert resumed["temperature"] == whole["temperature"][12:]
        assert resumed["k"] == whole["k"][12:]
        assert resumed["histories"] == whole["histories"]


def test_a_missing_metric_stops_all_processes(ranks):
    for _, _, error in ranks:
        assert error.startswith("monitor must be one of the logged metrics (loss.k, loss.temperature, val/")
        assert "got 'val/top3'" in error
