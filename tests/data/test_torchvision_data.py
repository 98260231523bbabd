"""Any torchvision data set by its name: Debian's files of Fashion-MNIST, sets with and without splits."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest

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
