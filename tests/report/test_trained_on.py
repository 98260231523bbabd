"""How many of the tested images the model was trained on, whatever the data is given as."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder

from tests.report.modelled import Page
from tests.report.test_report_files import json_of
from topk_lightning import ImageFolderDataModule, Preprocessing, TopKClassifier, write_report
from topk_lightning.findings import TrainedOn

COUNT = 10


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of ten photos each, a model that was trained on some of them, and its data."""
    root = tmp_path_factory.mktemp("photos")
    for number, label in enumerate(("bee", "cat")):
        (root / label).mkdir()
        for index in range(COUNT):
            Image.new("RGB", (20, 12), (10 * index, 100 * number, 50)).save(root / label / f"{index}.png")
    data = ImageFolderDataModule(root, image_size=16, batch_size=4, augment="none")
    model = TopKClassifier("small_cnn", class_names=data.class_names)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data)
    path = tmp_path_factory.mktemp("run") / "model.ckpt"
    trainer.save_checkpoint(path)
    return root, path, model, data


def reported(model, data, tmp_path):
    path = write_report(model, data, tmp_path / "report.html")
    content = json_of(path)
    told = [found["sentence"] for found in content["sections"]["findings"]["findings"] if found["kind"] == "TrainedOn"]
    assert all(sentence in Page(path).text for sentence in told)
    return content["images"]["trained_on"], told


def test_the_folder_of_the_training_holds_its_training_images(photos, tmp_path):
    root, checkpoint, model, data = photos
    trained = len(data.targets("train"))
    assert 0 < trained < 2 * COUNT
    sentence = TrainedOn(trained, 2 * COUNT).sentence
    for classifier in (checkpoint, model):
        assert reported(classifier, root, tmp_path) == (trained, [sentence])
        assert reported(classifier, DataLoader(ImageFolder(root, _prepared(model)), 4), tmp_path) == (
            trained,
            [sentence],
        )


def test_the_split_of_the_training_holds_none(photos, tmp_path):
    _, checkpoint, _, data = photos
    assert reported(checkpoint, data, tmp_path) == (0, [])
    assert reported(checkpoint, data.test_dataloader(), tmp_path) == (0, [])


def test_some_training_images_among_others_are_counted(photos, tmp_path):
    root, checkpoint, model, data = photos
    learned = set(data.sample_names("train"))
    folder = ImageFolder(root, _prepared(model))
    of_training = [i for i, (path, _) in enumerate(folder.samples) if path.removeprefix(f"{root}/") in learned]
    others = [i for i in range(2 * COUNT) if i not in of_training]
    some = DataLoader(Subset(folder, [*of_training[:3], *others]), 4)
    assert reported(checkpoint, some, tmp_path) == (3, [TrainedOn(3, 3 + len(others)).sentence])


def test_a_model_that_does_not_know_its_training_says_nothing(photos, tmp_path):
    root, _, model, _ = photos
    other = TopKClassifier("small_cnn", class_names=["bee", "cat"])
    assert reported(other, DataLoader(ImageFolder(root, _prepared(model)), 4), tmp_path) == (None, [])


def _prepared(model):
    return Preprocessing.from_dict(model.preprocessing).evaluation_transform()
