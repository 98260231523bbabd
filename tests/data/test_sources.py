"""Loaders of Hugging Face data sets and of webdataset's tars: trained on as they are, their class names found."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader
from torchvision.transforms.v2.functional import pil_to_tensor

from topk_lightning import TopKClassifier, write_report
from topk_lightning.data import find_class_names
from topk_lightning.report import score_images

NAMES = ["apple", "lemon", "plum"]
COLOURS = {"apple": (200, 30, 40), "lemon": (230, 200, 60), "plum": (90, 20, 110)}


def fit(loader):
    network = {"class_path": "small_cnn", "init_args": {"width": 4}}
    model = TopKClassifier(network, num_classes=3)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, enable_model_summary=False, limit_train_batches=2, **quiet)
    trainer.fit(model, loader, loader)
    assert {"train/top1", "val/top1"} <= set(trainer.callback_metrics)
    return model


def as_tensors(rows):
    images = [pil_to_tensor(image).float() / 255 for image in rows["image"]]
    return {"pixel_values": images, "labels": rows["label"]}


def pictures():
    return [Image.new("RGB", (16, 16), COLOURS[name]) for name in NAMES for _ in range(2)], [0, 0, 1, 1, 2, 2]


def collate(rows):
    batch = as_tensors({"image": [row["image"] for row in rows], "label": [row["label"] for row in rows]})
    return {"pixel_values": torch.stack(batch["pixel_values"]), "labels": torch.tensor(batch["labels"])}


def reports(model, loader, tmp_path):
    """A report of a test on a loader names its classes and shows its pictures."""
    write_report(model, loader, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert all(name in page for name in NAMES)
    assert page.count("<img") >= 3
    assert "of 6 images" in json.loads((tmp_path / "report.json").read_text())["sentence"]


def reports_a_stream(model, loader, tmp_path):
    """A report of a stream is that of the scores of its images; it has no pictures."""
    write_report(model, loader, tmp_path / "stream.html")
    page = (tmp_path / "stream.html").read_text()
    assert all(name in page for name in NAMES)
    assert "<img" not in page
    written = json.loads((tmp_path / "stream.json").read_text())
    assert "of 6 images" in written["sentence"]
    scores = score_images(model, loader)
    right = int((scores.values.argmax(1) == scores.target).sum())
    assert f"right for {right} of 6 images" in written["sentence"]
    assert list(scores.ids) == [f"image {number} of the stream" for number in range(1, 7)]


def as_row(row):
    return {"pixel_values": as_tensors({"image": [row["image"]], "label": [0]})["pixel_values"][0], "labels": 0}


@pytest.mark.parametrize("streaming", [False, True], ids=["in memory", "streaming"])
def test_a_data_set_of_hugging_face_is_trained_on_with_its_names(streaming, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    images, labels = pictures()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    data = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
    if streaming:
        data = data.to_iterable_dataset()
        assert find_class_names(data) == NAMES
        loader = DataLoader(data, batch_size=3, collate_fn=collate)
    else:
        loader = DataLoader(data.with_transform(as_tensors), batch_size=3)
    assert find_class_names(loader) == NAMES
    model = fit(loader)
    assert model.class_names == NAMES
    if streaming:
        reports_a_stream(model, loader, tmp_path)
        with pytest.raises(
            TypeError, match=r"data must yield batches of images and targets, got single images\. Pass a D"
        ):
            write_report(model, data.map(as_row), tmp_path / "report.html")
        loader = DataLoader(list(data), batch_size=3, collate_fn=collate)
    reports(model, loader, tmp_path)


@pytest.mark.filterwarnings("ignore")  # of webdataset
def test_tars_are_trained_on_with_the_names_of_the_file_beside_them(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    with tarfile.open(tmp_path / "shard-000.tar", "w") as tar:
        for number, (image, label) in enumerate(zip(*pictures(), strict=True)):
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            for suffix, content in (("png", buffer.getvalue()), ("cls", str(label).encode())):
                entry = tarfile.TarInfo(f"{number:03}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    data = webdataset.WebDataset(str(tmp_path / "shard-000.tar"), shardshuffle=False).decode("torchrgb")
    loader = DataLoader(data.to_tuple("png", "cls"), batch_size=3)
    assert find_class_names(loader) is None
    (tmp_path / "classnames.txt").write_text("\n".join(NAMES) + "\n")
    assert find_class_names(loader) == NAMES
    model = fit(loader)
    assert model.class_names == NAMES
    reports_a_stream(model, loader, tmp_path)
    batched = webdataset.WebLoader(data.to_tuple("png", "cls").batched(4), batch_size=None)
    reports_a_stream(model, batched, tmp_path)
    reports(model, DataLoader(list(data.to_tuple("png", "cls")), batch_size=3), tmp_path)
