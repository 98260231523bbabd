"""What every data module of the library keeps to; one that is added is found by its export."""

from __future__ import annotations

import importlib
import inspect
import pickle
from pathlib import Path

import pytest
import torch

import topk_lightning.data
from tests.data.drawings import class_folders
from topk_lightning.data import ImageDataModuleBase, build_data_module, find_class_names, plain_options

NAMES = [name for name in dir(topk_lightning.data) if name.endswith("DataModule")]
ROOT = Path(__file__).parents[2]
SPLITS = ("train", "val", "test")


@pytest.fixture(params=NAMES)
def data(request, tmp_path):
    kind = getattr(topk_lightning.data, request.param)
    parameters = inspect.signature(kind).parameters
    root = class_folders(tmp_path, {"cat": 9, "dog": 10})
    options = {"image_size": 16, "batch_size": 8, "root": root, "classes": 4, "name": "ImageFolder"}
    return kind(**{name: value for name, value in options.items() if name in parameters})


@pytest.mark.parametrize("name", NAMES)
def test_it_stands_in_every_place(name):
    lightning = importlib.import_module("topk_lightning.lightning")
    kind = getattr(topk_lightning.data, name)
    places = {
        "its section in docs/data.md": f"## {name}" in (ROOT / "docs" / "data.md").read_text(),
        "its twin in topk_lightning.lightning": getattr(lightning, name, kind) is not kind,
        "ImageDataModuleBase among its bases": issubclass(kind, ImageDataModuleBase),
    }
    assert not [place for place, is_there in places.items() if not is_there]


@pytest.mark.parametrize("name", NAMES)
def test_its_twin_is_another_class_of_the_same_definition(name):
    kind, twin = getattr(topk_lightning.data, name), getattr(importlib.import_module("topk_lightning.lightning"), name)
    assert inspect.signature(twin) == inspect.signature(kind)
    assert twin.definition is kind.definition
    assert not issubclass(twin, kind)


def test_every_argument_of_its_constructor_is_an_attribute(data):
    names = set(inspect.signature(type(data)).parameters)
    assert names == set(plain_options(data)["init_args"])


def test_plain_options_build_it_again_with_the_same_splits(data):
    again = build_data_module(plain_options(data))
    assert type(again) is type(data)
    for split in SPLITS:
        assert again.sample_names(split) == data.sample_names(split)
        assert again.digests(split).equal(data.digests(split))


def test_its_splits_its_classes_and_their_counts_agree(data):
    assert isinstance(data, ImageDataModuleBase)
    for split in SPLITS:
        targets = data.targets(split)
        assert len(targets) == len(data.sample_names(split)) == len(data.pictures(split)) == len(data.digests(split))
        assert data.class_counts(split) == [targets.count(index) for index in range(data.num_classes)]
    assert data.class_counts() == data.class_counts("train")
    assert find_class_names(data) == data.class_names
    assert find_class_names(data.val_dataloader()) == data.class_names


def test_a_last_training_batch_of_one_image_is_left_out(data):
    count = len(data.targets("train"))
    for batch_size in range(2, count + 1):
        data.batch_size = batch_size
        sizes = [len(target) for _, target in data.train_dataloader()]
        assert 1 not in sizes
        assert sum(sizes) == count - (count % batch_size == 1)
    data.batch_size = 1
    assert [len(target) for _, target in data.train_dataloader()] == [1] * count


def test_batch_normalisation_trains_on_every_batch_size(data):
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.BatchNorm1d(3))
    data.batch_size = len(data.targets("train")) - 1
    for images, _ in data.train_dataloader():
        network(images)


def test_it_can_be_pickled(data):
    data.setup()
    again = pickle.loads(pickle.dumps(data))
    assert again.sample_names("val") == data.sample_names("val")
