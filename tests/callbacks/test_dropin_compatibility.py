"""CoarseToFine, TopKMonitor and TopKPredictionWriter in the LightningCLI of both packages, and beside what people use."""

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from torch import nn

from tests.callbacks.modules import CLASSES, MODULES, Plain, loader, logged, trainer
from topk_lightning.callbacks import CoarseToFine, TopKMonitor, TopKPredictionWriter
from topk_lightning.schedules import Linear

GROUPS = [0, 0, 1, 1, 2, 2]

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")


class CliModule(MODULES[pytorch_lightning]):
    def predict_step(self, batch, batch_idx):
        return self(batch[0])


class CliTwin(MODULES[lightning.pytorch]):
    predict_step = CliModule.predict_step


class Data:
    def train_dataloader(self):
        return loader(8)

    val_dataloader = predict_dataloader = train_dataloader


class CliData(Data, pytorch_lightning.LightningDataModule):
    pass


class CliTwinData(Data, lightning.pytorch.LightningDataModule):
    pass


CALLBACKS = [
    {
        "class_path": "topk_lightning.callbacks.CoarseToFine",
        "init_args": {"fine_to_coarse": GROUPS, "schedule": "linear", "hold_fraction": 0.2, "k": [1, 2]},
    },
    {"class_path": "topk_lightning.callbacks.TopKMonitor", "init_args": {"k": [1, 3], "stages": ["train", "val"]}},
    {
        "class_path": "topk_lightning.callbacks.TopKPredictionWriter",
        "init_args": {"path": "predictions.csv", "k": 2, "class_names": list("abcdef")},
    },
]


# LightningCLI uses what jsonargparse calls deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("package", [pytorch_lightning, lightning.pytorch], ids=["pytorch_lightning", "lightning"])
def test_all_three_come_from_yaml(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["fit"])
    cli = __import__(f"{package.__name__}.cli", fromlist=["LightningCLI"]).LightningCLI
    options = {
        "max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "callbacks": CALLBACKS,
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"trainer": options}))
    module, data = (CliModule, CliData) if package is pytorch_lightning else (CliTwin, CliTwinData)
    arguments = {"run": False, "save_config_callback": None, "seed_everything_default": False}
    found = cli(module, data, args=["--config", "config.yaml"], **arguments)
    found.trainer.fit(found.model, found.datamodule)
    assert {"train/top3", "val/top1", "val/coarse_top2", "train/fine_top2"} <= set(logged(found.trainer))
    found.trainer.predict(found.model, found.datamodule)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 1 + 8 * 2


def test_weight_averaging_early_stopping_and_checkpoints_beside_them(tmp_path):
    callbacks = [
        CoarseToFine(GROUPS, schedule=Linear(1.0, 0.0)),
        TopKMonitor(k=1, stages=("train", "val")),
        EMAWeightAveraging(decay=0.5),
        EarlyStopping("val/top1", mode="max", patience=9),
        ModelCheckpoint(tmp_path, monitor="val/coarse_top1", mode="max", filename="best"),
    ]
    module = Plain()
    names = set(module.state_dict())
    run = trainer(*callbacks, max_epochs=2, enable_checkpointing=True)
    run.fit(module, loader(8), loader(8))
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert set(saved["state_dict"]) == names
    Plain().load_state_dict(saved["state_dict"])
    assert "forward" not in vars(module.loss)


def test_the_monitor_agrees_with_what_coarse_to_fine_counts():
    run = trainer(CoarseToFine(GROUPS, k=(1, 3)), TopKMonitor(k=(1, 3)), max_epochs=2)
    run.fit(Plain(), loader(8), loader(9))
    found = logged(run)
    for k in (1, 3):
        assert found[f"val/top{k}"] == found[f"val/fine_top{k}"]
    assert found["val/coarse_top3"] == 1.0


def test_a_sequence_module_is_read_by_all(tmp_path):
    class Sequences(Plain):
        def __init__(self):
            super().__init__()
            self.network = nn.Sequential(nn.Linear(4, 4 * CLASSES), nn.Unflatten(1, (CLASSES, 4)))

    data = torch.utils.data.TensorDataset(torch.randn(6, 4), torch.randint(CLASSES, (6, 4)))
    run = trainer(CoarseToFine(GROUPS, k=1), TopKMonitor(k=CLASSES, stages=("train", "val")))
    run.fit(Sequences(), torch.utils.data.DataLoader(data, 3), torch.utils.data.DataLoader(data, 3))
    assert logged(run)["val/top6"] == logged(run)["train/top6"] == 1.0
    assert 0 <= logged(run)["val/fine_top1"] <= logged(run)["val/coarse_top1"] <= 1


def test_a_writer_may_stand_in_training(tmp_path):
    trainer(TopKPredictionWriter(tmp_path / "p.csv")).fit(Plain(), loader(8))
    assert not list(tmp_path.iterdir())
