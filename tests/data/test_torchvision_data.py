"""Any torchvision data set by its name: Debian's files of Fashion-MNIST, sets with and without splits."""

from __future__ import annotations

import gzip
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from tests.data.drawings import class_folders
from topk_lightning.data import TorchvisionDataModule

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    if not DEBIAN.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    root = tmp_path_factory.mktemp("fashion")
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in DEBIAN.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return TorchvisionDataModule(
        "FashionMNIST", root, 28, num_workers=0, val_fraction=0.1, check_images=False, statistics="imagenet"
    )


def test_fashion_mnist_has_its_names_its_test_and_a_stratified_validation(fashion):
    assert fashion.class_names[:2] == ["T-shirt/top", "Trouser"]
    assert {split: len(fashion.targets(split)) for split in ("train", "val", "test")} == {
        "train": 54_000,
        "val": 6_000,
        "test": 10_000,
    }
    assert fashion.class_counts("val") == [600] * 10
    images, target = next(iter(fashion.val_dataloader()))
    assert images.shape == (32, 3, 28, 28)
    assert target.tolist() == fashion.targets("val")[:32]
    assert not set(fashion.sample_names("train")) & set(fashion.sample_names("val"))


def test_a_set_without_splits_is_split_at_random(tmp_path):
    data = TorchvisionDataModule("ImageFolder", class_folders(tmp_path, {"cat": 10, "dog": 10}), 16)
    assert data.class_names == ["cat", "dog"]
    assert [len(data.targets(split)) for split in ("train", "val", "test")] == [12, 4, 4]


def test_flowers102_keeps_its_three_splits_and_its_names(tmp_path, monkeypatch):
    savemat = pytest.importorskip("scipy.io", reason="scipy, which reads its lists, is not installed").savemat
    folder = tmp_path / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for number in range(1, 307):  # three of each class: one a split
        Image.new("RGB", (20, 18), (number % 256, 90, 30)).save(folder / "jpg" / f"image_{number:05}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": [[number % 102 + 1 for number in range(306)]]})
    places = {"trnid": range(1, 103), "valid": range(103, 205), "tstid": range(205, 307)}
    savemat(folder / "setid.mat", {name: [list(numbers)] for name, numbers in places.items()})
    # The files are small ones of ours, so their checksums are not the published ones.
    unchecked = {name: (file, None) for name, (file, _) in torchvision.datasets.Flowers102._file_dict.items()}
    monkeypatch.setattr(torchvision.datasets.Flowers102, "_file_dict", unchecked)
    data = TorchvisionDataModule(
        "Flowers102", tmp_path, 16, 6, num_workers=0, statistics="imagenet", check_images=False
    )
    assert (data.num_classes, data.class_names[0]) == (102, "pink primrose")
    assert [data.targets(split) for split in ("train", "val", "test")] == [list(range(102))] * 3
    assert next(iter(data.test_dataloader()))[1].tolist() == [0, 1, 2, 3, 4, 5]


def test_cifar100_keeps_its_test_and_its_names(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    names = [f"thing {index}" for index in range(100)]
    for split, rows in (("train", 400), ("test", 100)):
        pixels = np.full((rows, 3072), 90, dtype=np.uint8)
        content = {"data": pixels, "fine_labels": [row % 100 for row in range(rows)]}
        (folder / split).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    kind = torchvision.datasets.CIFAR100
    monkeypatch.setattr(kind, "train_list", [["train", None]])
    monkeypatch.setattr(kind, "test_list", [["test", None]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})
    data = TorchvisionDataModule(
        "CIFAR100", tmp_path, 32, num_workers=0, val_fraction=0.25, statistics="imagenet", check_images=False
    )
    assert data.class_names == names
    assert [data.class_counts(split) for split in ("train", "val", "test")] == [[3] * 100, [1] * 100, [1] * 100]


def test_nothing_is_downloaded_unless_asked(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("CIFAR100", "Flowers102", "FashionMNIST"):
        with pytest.raises(
            FileNotFoundError, match=rf"^root must hold the files of {name}, got .*download=True to fetch"
        ):
            _ = TorchvisionDataModule(name, tmp_path).class_names


def test_a_wrong_name_gets_the_nearest_right_one(tmp_path):
    with pytest.raises(
        ValueError, match=r"^name must be a data set of torchvision, got 'CIFAR1000'\. Did you mean CIFAR100\?$"
    ):
        _ = TorchvisionDataModule("CIFAR1000", tmp_path).class_names
