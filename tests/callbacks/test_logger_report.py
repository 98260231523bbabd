"""Curves, k, temperature, figures and the report in real loggers, read back from their files."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import lightning.pytorch
import pytest
import pytorch_lightning
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

import topk_lightning.lightning
from topk_lightning import EmojiDataModule, LoggerReport, SmoothTopKSVMLoss, TopKClassifier, TrainingTrace
from topk_lightning.callbacks import TemperatureAnnealing
from topk_lightning.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning")


def train(folder, logger, package=pytorch_lightning, **options):
    """Train for two epochs with a loss of k = 2 and temperature 0.5, and return the trainer."""
    home = topk_lightning.lightning if package is lightning.pytorch else topk_lightning
    data = home.EmojiDataModule(classes=["food-fruit"], image_size=16)
    network = {"class_path": "small_cnn", "init_args": {"width": 4}}
    loss = SmoothTopKSVMLoss(k=2, temperature=0.5)
    model = home.TopKClassifier(network, class_names=data.class_names, loss=loss)
    callbacks = [*options.pop("callbacks", [LoggerReport(), TrainingTrace()])]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = package.Trainer(
        max_epochs=2, default_root_dir=folder, logger=logger, callbacks=callbacks, **quiet, **options
    )
    trainer.fit(model, data)
    return trainer


def test_tensorboard_holds_curves_k_temperature_figures_and_the_report(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = train(tmp_path, TensorBoardLogger(tmp_path, name=""))
    folder = Path(trainer.log_dir)
    read = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0})
    read.Reload()
    tags = read.Tags()
    assert {"val/top5", "val/loss", "loss.k", "loss.temperature"} <= set(tags["scalars"])
    assert [point.value for point in read.Scalars("loss.k")] == [2, 2]
    assert [point.value for point in read.Scalars("loss.temperature")] == [0.5, 0.5]
    assert {"training", "test/accuracy", "test/calibration"} <= set(tags["images"])
    assert "report/text_summary" in tags["tensors"]
    said = read.Tensors("report/text_summary")[0].tensor_proto.string_val[0].decode()
    assert said.startswith(json.loads((folder / "report.json").read_text())["sentence"])
    assert (folder / "report.html").is_file()


def test_csv_has_the_curves_in_its_table_and_the_rest_as_files(tmp_path):
    trainer = train(tmp_path, CSVLogger(tmp_path, name=""))
    folder = Path(trainer.log_dir)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss.k"]) for row in rows if row.get("loss.k")] == [2.0, 2.0]
    assert len([row for row in rows if row["val/top5"]]) == 2
    for name in ("training.png", "accuracy.png", "calibration.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 300
    assert {"report.html", "report.json"} <= {file.name for file in folder.iterdir()}


def records_of(run):
    """The records of a file of W&B, a log as LevelDB writes it: blocks of 32 KiB, parts with their length and place."""
    content, place, parts = run.read_bytes(), 7, []
    while place + 7 <= len(content):
        if 2**15 - place % 2**15 < 7:
            place += 2**15 - place % 2**15
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts = [*(parts if kind in (3, 4) else []), content[place + 7 : place + 7 + length]]
        if kind in (1, 4):
            yield b"".join(parts)
        place += 7 + length


@pytest.mark.filterwarnings("ignore")  # of wandb
def test_wandb_keeps_curves_pictures_and_an_artifact_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_SILENT", "true")
    try:
        train(tmp_path, WandbLogger(save_dir=tmp_path, offline=True))
    finally:
        wandb.finish()
        wandb.teardown()  # which waits until all is written
    (run,) = tmp_path.rglob("offline-run-*/run-*.wandb")
    keys, artifacts = set(), []
    for data in records_of(run):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        keys |= {item.nested_key[0] for item in record.history.item}
        artifacts += [entry.path for entry in record.artifact.manifest.contents]
    assert {"val/top5", "loss.k", "loss.temperature", "training", "test/accuracy", "report"} <= keys
    assert set(artifacts) == {"report.html", "report.json"}


@pytest.mark.parametrize("package", [pytorch_lightning, lightning.pytorch], ids=lambda package: package.__name__)
def test_an_annealing_logs_its_own_value_once(tmp_path, package):
    logger = package.loggers.CSVLogger(tmp_path, name="")
    callbacks = [LoggerReport(report=False), TemperatureAnnealing(1.0, 0.1)]
    trainer = train(tmp_path, logger, package, callbacks=callbacks)
    with (Path(trainer.log_dir) / "metrics.csv").open() as file:
        values = [row["loss.temperature"] for row in csv.DictReader(file) if row.get("loss.temperature")]
    assert len(values) == 2
    assert float(values[-1]) == pytest.approx(0.1)


def test_without_test_images_it_says_that_no_report_was_written(tmp_path):
    class Untested(EmojiDataModule):
        def test_dataloader(self):
            return None

    class Plain(pytorch_lightning.LightningDataModule):
        def __init__(self):
            super().__init__()
            self.data = Untested(classes=["food-fruit"], image_size=16)
            self.data.setup()
            self.train_dataloader, self.val_dataloader = self.data.train_dataloader, self.data.val_dataloader

        def test_dataloader(self):
            return None

    data = Plain()
    model = TopKClassifier("small_cnn", num_classes=14)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pytorch_lightning.Trainer(
        max_epochs=1, limit_train_batches=1, logger=CSVLogger(tmp_path), callbacks=[LoggerReport()], **quiet
    )
    with pytest.warns(UserWarning, match=r"^No report was written\. data must be"):
        trainer.fit(model, data)


def test_one_option_of_fit_sends_all_to_a_logger(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["fit", "emoji", "--data.classes", "[food-fruit]", "--image-size", "16", "--epochs", "1"]
    assert main([*words, "--logger", "csv", "--device", "cpu"]) == 0
    folder = tmp_path / "runs/emoji/csv"
    assert {"metrics.csv", "training.png", "accuracy.png", "report.html"} <= {file.name for file in folder.iterdir()}
    assert main([*words, "--logger", "tensorbord"]) == 2
    assert "--logger must be one of 'tensorboard', 'csv', 'wandb', got 'tensorbord'." in capsys.readouterr().err
