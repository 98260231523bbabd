"""The data modules with trainers and command lines of both Lightning names."""

from __future__ import annotations

import importlib

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningCLI
from torch import nn

from tests.data.drawings import class_folders
from topk_lightning.data import EmojiDataModule, ImageFolderDataModule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]

QUIET = {
    "accelerator": "cpu",
    "max_epochs": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def linear(base):
    """Return a classifier of the given Lightning's modules."""

    class Linear(base):
        def __init__(self, num_classes: int = 6) -> None:
            super().__init__()
            self.layer = nn.Linear(3 * 16 * 16, num_classes)
            self.seen = {"train": 0, "val": 0, "test": 0, "predict": 0}

        def forward(self, images):
            return self.layer(images.flatten(1))

        def training_step(self, batch):
            self.seen["train"] += len(batch[0])
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch):
            self.seen["val"] += len(batch[0])

        def test_step(self, batch):
            self.seen["test"] += len(batch[0])

        def predict_step(self, batch):
            self.seen["predict"] += len(batch)
            return self(batch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Linear


class EmojiTask(linear(pl.LightningModule)):
    """Has a name at the top of a module, as a command line wants it."""


def run(lightning, data):
    model = linear(lightning.LightningModule)(data.num_classes)
    trainer = lightning.Trainer(**QUIET, num_sanity_val_steps=0)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert torch.cat(trainer.predict(model, data)).shape == (len(data.targets("test")), data.num_classes)
    assert model.seen == {
        **{split: len(data.targets(split)) for split in ("train", "val", "test")},
        "predict": len(data.targets("test")),
    }


def test_a_trainer_sees_every_image_once():
    run(pl, EmojiDataModule(image_size=16, classes=6))


def test_the_same_definition_serves_lightning_pytorch(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    twins = importlib.import_module("topk_lightning.lightning")
    run(lightning, twins.EmojiDataModule(image_size=16, classes=6))
    run(lightning, twins.ImageFolderDataModule(class_folders(tmp_path, {"cat": 6, "dog": 5}), image_size=16))


class LinkedCLI(LightningCLI):
    """Tells the model how many classes the data has."""

    def add_arguments_to_parser(self, parser):
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")


@pytest.fixture
def command_line(monkeypatch):
    # Lightning's command line uses names that jsonargparse has renamed since.
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

    def parse(data, *arguments):
        monkeypatch.setattr("sys.argv", ["train", *arguments])
        return LinkedCLI(EmojiTask, data, run=False, save_config_callback=None, seed_everything_default=0)

    return parse


def test_a_command_line_sets_every_option(command_line):
    cli = command_line(
        EmojiDataModule,
        "--data.classes=[food-fruit]",
        "--data.image_size=16",
        "--data.augment=none",
        "--data.test_vendors=[twemoji]",
        "--data.statistics=[[0.5,0.5,0.5],[0.2,0.2,0.2]]",
    )
    assert cli.model.layer.out_features == cli.datamodule.num_classes == 14
    assert cli.datamodule.vendors["test"] == ["twemoji"]
    assert cli.datamodule.statistics == ((0.5,) * 3, (0.2,) * 3)


def test_a_folder_gives_its_number_of_classes_to_the_model(command_line, tmp_path):
    root = class_folders(tmp_path, {"ant": 3, "bee": 3, "cat": 3})
    cli = command_line(
        ImageFolderDataModule, f"--data.root={root}", "--data.on_bad_image=skip", "--data.val_fraction=0.2"
    )
    assert cli.model.layer.out_features == 3
    assert cli.datamodule.on_bad_image == "skip"
